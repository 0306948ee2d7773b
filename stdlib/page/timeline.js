// The runs of one chain, each a bar along the time that the chain took.

import { h, link, state } from "./dom.js";
import * as f from "./format.js";

export function timeline(runs, current) {
  if (runs.length === 0) return null;
  const first = Math.min(...runs.map(run => run.created)), last = Math.max(...runs.map(run => run.ended || Date.now()), first + 1);
  return h("ol", { class: "timeline" }, runs.map(run => {
    const bar = h("span", { class: "bar s-" + run.state });
    const from = (run.created - first) / (last - first), length = ((run.ended || Date.now()) - run.created) / (last - first);
    bar.style.left = `${(100 * from).toFixed(2)}%`;
    bar.style.width = `${Math.max(0.6, 100 * length).toFixed(2)}%`;
    return h("li", { "aria-current": run.run === current ? "true" : null },
      h("span", { class: "timeline-name" }, link(`#/runs/${run.run}`, run.job)), h("span", { class: "timeline-state" }, state(run.state)),
      h("span", { class: "track", "aria-hidden": "true" }, bar), h("span", { class: "timeline-time" }, f.duration(f.took(run))));
  }));
}
