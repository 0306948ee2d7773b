// Job History: what ran, newest first, as far back as one scrolls.

import { get, on, part } from "./api.js";
import { code, empty, fill, h, link, problem, state } from "./dom.js";
import * as f from "./format.js";
import { List } from "./list.js";
import { timeline } from "./timeline.js";

const STATES = ["succeeded", "reused", "failed", "running", "starting", "skipped", "stopped", "timed-out", "lost"];
const PAGE = 200;

const read = run => (run.ranges || []).reduce((sum, range) => sum + (range.rows || 0), 0);

// What a run is remembered for: why it did not go well, else what it says of itself.
export function gist(run) {
  if (f.has(run.reason)) return f.visible(run.reason);
  if (f.has(run.reused)) return `outputs of run ${run.reused}`;
  const texts = (run.notes || []).map(note => note.data && note.data.text).filter(Boolean);
  return texts.length > 0 ? f.visible(texts.join("; ")) : "";
}

const rejected = run => (run.notes || []).some(note => note.kind === "deployment" && /^rejected/.test(note.data.outcome || ""));

function row(chosen, choose) {
  return (run, index) => {
    const cell = (name, ...content) => h("span", { role: "cell", class: name }, content);
    const box = h("input", { type: "checkbox", "aria-label": `Compare run ${run.run}`, checked: chosen.has(run.run), onchange: () => choose(run.run, box) });
    return h("div", { role: "row", class: "list-row run-row", "aria-rowindex": index + 2, "data-run": run.run },
      cell("c-pick", box), cell("c-run", link(`#/runs/${run.run}`, `${run.run}`, { "aria-label": `Run ${run.run}, ${run.job}, ${run.state}` })),
      cell("c-state", state(run.state), rejected(run) && h("span", { class: "tag warn" }, "rejected"), run.rehearsal && h("span", { class: "tag" }, "rehearsal"), f.has(run.reused) && h("span", { class: "tag" }, "reused")),
      cell("c-job", h("span", { class: "strong" }, f.visible(run.job)), run.pipeline && h("span", { class: "faint" }, f.visible(run.pipeline))),
      cell("c-trigger", f.trigger(run)), cell("c-time", h("time", { datetime: new Date(run.created).toISOString(), title: f.time(run.created) }, f.ago(run.created))),
      cell("c-took", f.duration(f.took(run))), cell("c-rows", read(run) > 0 ? f.number(read(run)) : "–"), cell("c-gist", gist(run)));
  };
}

const HEAD = () => h("div", { role: "row", class: "list-row run-row" },
  [["c-pick", "Pick"], ["c-run", "Run"], ["c-state", "State"], ["c-job", "Job"], ["c-trigger", "Trigger"], ["c-time", "Began"], ["c-took", "Took"], ["c-rows", "Rows read"], ["c-gist", "What came of it"]]
    .map(([name, title]) => h("span", { role: "columnheader", class: name }, title)));

// ====== Filters: in the address, so that they can be kept ======

function filters(query, jobs, apply) {
  const select = (name, label, values) => {
    const box = h("select", { id: "f-" + name, onchange: apply }, h("option", { value: "" }, "any"), values.map(value => h("option", { value }, value)));
    box.value = query.get(name) || "";
    return h("div", { class: "field inline" }, h("label", { for: "f-" + name }, label), box);
  };
  const unique = values => [...new Set(values)];
  const before = h("input", { id: "f-before", type: "number", min: 1, step: 1, placeholder: "newest", value: query.get("before") || "", onchange: apply });
  return h("div", { class: "filters", role: "search" }, select("pipeline", "Pipeline", unique(jobs.map(job => job.pipeline))),
    select("job", "Job", unique(jobs.filter(job => !query.get("pipeline") || job.pipeline === query.get("pipeline")).map(job => job.job))),
    select("state", "State", STATES), h("div", { class: "field inline" }, h("label", { for: "f-before" }, "Before run"), before));
}

const wanted = (run, query) => ["pipeline", "job", "state"].every(name => !query.get(name) || run[name] === query.get(name) || (query.get(name) === "reused" && f.has(run.reused))) && !query.get("before");

async function latestChain(box, runs) {
  const newest = runs.find(run => f.has(run.pipeline_run));
  if (!newest) return void fill(box);
  const chain = (await get(`runs?pipeline_run=${newest.pipeline_run}&limit=50`)).reverse();
  fill(box, h("h2", null, "Latest chain"), timeline(chain));
}

function nothing(query) {
  if ([...query.keys()].length > 0) return empty("No run is like that", h("p", null, link("#/history", "Show all runs")));
  return empty("Nothing has run yet", "What runs appears here while it runs, also what is started in a terminal:", code("mlengine run pipeline.lua"));
}

export async function show(root, { query, signal }) {
  const chosen = new Set(), chain = h("section", { class: "panel" }), below = h("div"), none = h("div");
  const compare = h("button", { disabled: true, onclick: () => { location.hash = `#/compare/${[...chosen].sort((a, b) => a - b).join("/")}`; } }, "Compare two");
  const choose = (run, box) => {
    if (!box.checked) chosen.delete(run);
    else if (chosen.size < 2) chosen.add(run);
    else box.checked = false;
    compare.disabled = chosen.size !== 2;
  };
  const ask = before => {
    const words = [`limit=${PAGE}`];
    for (const name of ["pipeline", "job", "state"]) if (query.get(name)) words.push(`${name}=${part(query.get(name))}`);
    if (before) words.push(`before=${before}`);
    return get("runs?" + words.join("&"));
  };
  const list = new List({ height: 44, label: "Runs", head: HEAD(), class: "runs-list", row: row(chosen, choose),
    more: async () => {
      const last = list.items[list.items.length - 1];
      const page = last ? await ask(last.run) : [];
      list.items.push(...page);
      return page.length === PAGE;
    } });
  const apply = () => {
    const next = new URLSearchParams();
    for (const name of ["pipeline", "job", "state", "before"]) {
      const value = document.getElementById("f-" + name).value;
      if (value) next.set(name, value);
    }
    location.hash = "#/history" + (next.size > 0 ? "?" + next : "");
  };
  const load = async () => {
    const runs = await ask(query.get("before"));
    list.set(runs, runs.length < PAGE);
    fill(none, runs.length === 0 && nothing(query));
    list.element.hidden = runs.length === 0;
    await latestChain(chain, runs);
  };
  const jobs = await get("jobs?limit=1000");
  fill(root, h("div", { class: "section-head" }, h("h1", null, "Job History"), compare), chain, filters(query, jobs, apply), list.element, none, below);
  await load();
  let late = null;
  on("run", run => {
    const at = list.items.findIndex(one => one.run === run.run);
    if (at >= 0) list.items[at] = run;
    else if (wanted(run, query) && (list.items.length === 0 || run.run > list.items[0].run)) list.items.unshift(run);
    list.ended ||= false;
    list.element.hidden = list.items.length === 0;
    if (list.items.length > 0) fill(none);
    list.draw(true);
    late ||= setTimeout(() => { late = null; if (!signal.aborted) latestChain(chain, list.items).catch(() => {}); }, 250);
  }, signal);
  on("second", () => { if (list.items.slice(0, 50).some(f.live)) list.draw(true); }, signal);
  on("refresh", () => load().catch(error => fill(below, problem(error))), signal);
}
