// A job: as a card of its pipeline's graph, and what can be done with it.

import { get, part } from "./api.js";
import { fill, h, link, problem, state } from "./dom.js";
import { act, start } from "./form.js";
import * as f from "./format.js";

export const after = job => job.after.map(parent => typeof parent === "string" ? { name: parent } : parent);

function afterText(job) {
  return after(job).map(p => p.on && p.on !== "success" ? `${p.name} (on ${p.on})` : p.name).join(", ");
}

export function startsText(job) {
  if (!job.enabled) return "switched off";
  if (job.after.length > 0) return `after ${afterText(job)}`;
  return job.schedule;
}

export const historyOf = job => `#/history?pipeline=${part(job.pipeline)}&job=${part(job.job)}`;

function lastText(run) {
  if (!run) return "never ran";
  return f.live(run) ? f.duration(f.took(run)) : `${f.duration(f.took(run))}, ${f.ago(run.ended || run.created)}`;
}

// The form; with the parameters of a run, filled in as they were.
export async function open(pipeline, job, params) {
  try {
    const groups = job ? (await get(`pipelines/${part(pipeline)}/jobs/${part(job)}`)).params : await groupsOf(pipeline);
    start(pipeline, job, groups, params);
  } catch (error) { document.getElementById("toasts").append(problem(error)); }
}

// A whole pipeline runs what any of its first jobs would, each once.
async function groupsOf(pipeline) {
  const whole = await get(`pipelines/${part(pipeline)}`), seen = new Map();
  for (const job of whole.jobs.filter(one => one.after.length === 0))
    for (const group of (await get(`pipelines/${part(pipeline)}/jobs/${part(job.job)}`)).params) seen.set(group.job, group);
  return whole.jobs.map(job => seen.get(job.job)).filter(Boolean);
}

// Run, and what its last run allows.
export function buttons(job, run) {
  const button = (verb, does, kind) => h("button", { class: kind || "", "aria-label": `${verb} ${job.job}`, onclick: does }, verb);
  return [button("Run", () => open(job.pipeline, job.job), "accent"),
    run && f.live(run) && button("Stop", () => act(run.run, "stop")),
    run && f.bad(run) && [button("Resume", () => act(run.run, "resume")), button("Retry", () => act(run.run, "retry"))]];
}

const RECENT = 14;

// The last runs as bars: how long each took, and how it ended.
function recent(runs) {
  if (runs.length < 2) return null;
  const most = Math.max(1, ...runs.map(run => f.took(run) || 0)), counts = new Map();
  for (const run of runs) counts.set(run.state, (counts.get(run.state) || 0) + 1);
  const words = [...counts].map(([name, count]) => `${count} ${name}`).join(", ");
  return h("div", { class: "recent", role: "img", "aria-label": `Last ${runs.length} runs: ${words}` }, runs.map(run => {
    const bar = h("span", { class: "bar s-" + run.state, title: `run ${run.run}: ${run.state}, ${f.duration(f.took(run))}` });
    bar.style.height = `${Math.round(4 + 18 * (f.took(run) || 0) / most)}px`;
    return bar;
  }));
}

export class Card {
  constructor(job, runs) {
    this.job = job;
    this.run = job.last_run;
    this.runs = runs.slice(0, RECENT).reverse();
    this.recent = h("div", { class: "card-recent" });
    this.live = h("div", { class: "card-run" });
    this.buttons = h("div", { class: "card-buttons" });
    this.element = h("article", { class: "card", "aria-label": job.job },
      h("h3", null, link(historyOf(job), job.job)),
      this.live,
      h("dl", { class: "facts small" },
        h("dt", null, "starts"), h("dd", null, startsText(job)),
        f.has(job.next) && [h("dt", null, "next"), h("dd", null, h("time", { datetime: new Date(job.next).toISOString(), title: f.time(job.next) }, `${f.minute(job.next)} (${f.until(job.next)})`))],
        h("dt", null, "profile"), h("dd", null, f.profile(job.resources))),
      h("div", { class: "card-end" }, this.buttons, this.recent));
    this.show();
  }

  show() {
    const { run, job } = this;
    this.element.setAttribute("data-state", run ? run.state : "none");
    this.showRun();
    fill(this.recent, recent(this.runs));
    const focused = this.buttons.contains(document.activeElement);
    fill(this.buttons, buttons(job, run));
    if (focused) this.buttons.firstChild.focus();
  }

  showRun() {
    const { run } = this;
    fill(this.live, run ? [link(`#/runs/${run.run}`, state(run.state)), h("span", { class: "faint" }, lastText(run))] : h("span", { class: "faint" }, "never ran"));
  }

  take(run) {
    const again = this.run && this.run.run === run.run && this.run.state === run.state;
    this.run = run;
    this.runs = [...this.runs.filter(one => one.run !== run.run), run].slice(-RECENT);
    if (!again) this.show();
    else if (!this.live.contains(document.activeElement)) this.showRun();
  }

  tick() { if (this.run && f.live(this.run)) this.take(this.run); }
}
