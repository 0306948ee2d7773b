// Jobs as a list: of a large pipeline, or those that were looked for.

import { on, part, raw, parse } from "./api.js";
import { empty, fill, h, link, problem, state } from "./dom.js";
import { buttons, historyOf, startsText } from "./card.js";
import * as f from "./format.js";
import { List } from "./list.js";

const PAGE = 100;

const head = () => h("div", { role: "row", class: "list-row job-row" },
  ["Job", "Last run", "Starts", "Next", "Profile", "Actions"].map(title => h("span", { role: "columnheader" }, title)));

function row(whole) {
  return (job, index) => {
    const run = job.last_run, cell = (name, ...content) => h("span", { role: "cell", class: name }, content);
    return h("div", { role: "row", class: "list-row job-row", "aria-rowindex": index + 2, "data-job": job.job },
      cell("c-job", link(historyOf(job), f.visible(job.job), { title: f.visible(job.job) }), whole && h("span", { class: "faint" }, f.visible(job.pipeline))),
      cell("c-state", run ? link(`#/runs/${run.run}`, state(run.state)) : h("span", { class: "faint" }, "never ran")),
      cell("c-starts", startsText(job)), cell("c-next", f.has(job.next) ? f.minute(job.next) : "–"), cell("c-profile", f.profile(job.resources)),
      cell("c-actions", buttons(job, run)));
  };
}

// The jobs of one pipeline, or with `whole` those of all that are as `query` says, which follow what runs.
export function jobList(query, label, whole, signal, told) {
  const words = Object.entries(query).filter(([, value]) => value).map(([name, value]) => `${name}=${part(value)}`);
  const ask = async (first, count) => {
    const answer = await raw("jobs?" + [...words, `limit=${count}`, `offset=${first}`].join("&"));
    return { total: Number(answer.headers.get("X-Total")), jobs: parse(await answer.text()) };
  };
  const list = new List({ height: whole ? 46 : 40, size: PAGE, label, head: head(), class: whole ? "jobs-list whole" : "jobs-list", row: row(whole),
    page: async (first, count) => (await ask(first, count)).jobs });
  const box = h("div", null, list.element), none = h("div");
  box.append(none);
  const load = async () => {
    try {
      const got = await ask(0, PAGE);
      if (signal.aborted) return;
      list.begin(got.total, got.jobs);
      list.element.hidden = got.total === 0;
      fill(none, got.total === 0 && empty("No job is like that", h("p", null, link("#/jobs", "Show all jobs"))));
      if (told) told(got.total);
    } catch (error) { fill(none, problem(error)); }
  };
  on("run", run => {
    if (run.rehearsal) return;
    const at = list.items.findIndex(job => job && job.job === run.job && job.pipeline === run.pipeline);
    if (at >= 0 && !(list.items[at].last_run && list.items[at].last_run.run > run.run)) list.put(at, { ...list.items[at], last_run: run });
  }, signal);
  load();
  return box;
}
