// Job History: what ran, newest first, as far back as one scrolls.

import { get, on, parse, part, raw } from "./api.js";
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

const FILTERS = ["pipeline", "job", "state", "trigger", "before"];

// A job is found by a part of its name: there may be ten thousand.
function jobField(query, apply) {
  const names = h("datalist", { id: "job-names" });
  const box = h("input", { id: "f-job", type: "search", list: "job-names", autocomplete: "off", placeholder: "any", value: query.get("job") || "", onchange: apply });
  let late;
  const suggest = () => {
    clearTimeout(late);
    late = setTimeout(async () => {
      const pipeline = query.get("pipeline"), words = `find=${part(box.value)}&limit=20` + (pipeline ? `&pipeline=${part(pipeline)}` : "");
      try { fill(names, [...new Set((await get("jobs?" + words)).map(job => job.job))].map(value => h("option", { value }))); } catch { /* one types it whole */ }
    }, 150);
  };
  box.addEventListener("focus", suggest);
  box.addEventListener("input", suggest);
  return h("div", { class: "field inline" }, h("label", { for: "f-job" }, "Job"), box, names);
}

function filters(query, pipelines, apply) {
  const select = (name, label, values) => {
    const given = query.get(name) || "", pairs = values.map(value => Array.isArray(value) ? value : [value, value]);
    if (given && !pairs.some(([value]) => value === given)) pairs.push([given, given]);
    const box = h("select", { id: "f-" + name, onchange: apply }, h("option", { value: "" }, "any"), pairs.map(([value, text]) => h("option", { value }, text)));
    box.value = given;
    return h("div", { class: "field inline" }, h("label", { for: "f-" + name }, label), box);
  };
  const before = h("input", { id: "f-before", type: "number", min: 1, step: 1, placeholder: "newest", value: query.get("before") || "", onchange: apply });
  return h("div", { class: "filters", role: "search" }, select("pipeline", "Pipeline", pipelines.map(one => one.pipeline).filter(f.has)), jobField(query, apply),
    select("state", "State", STATES), select("trigger", "Trigger", Object.entries(f.TRIGGERS)),
    h("div", { class: "field inline" }, h("label", { for: "f-before" }, "Before run"), before),
    query.size > 0 && link("#/history", "Show all", { class: "button" }));
}

const wanted = (run, query) => ["pipeline", "job"].every(name => !query.get(name) || run[name] === query.get(name)) && !query.get("before")
  && (!query.get("state") || run.state === query.get("state") || (query.get("state") === "reused" && f.has(run.reused)))
  && (!query.get("trigger") || query.get("trigger") === (run.trigger ? run.trigger.source : "terminal"));

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
  let next = null; // where the page after begins
  const ask = async before => {
    const words = [`limit=${PAGE}`, ...FILTERS.filter(name => name !== "before" && query.get(name)).map(name => `${name}=${part(query.get(name))}`)];
    if (before) words.push(`before=${before}`);
    const answer = await raw("runs?" + words.join("&"));
    const runs = parse(await answer.text());
    next = runs.length === PAGE ? runs[PAGE - 1].run : answer.headers.get("X-Next-Before");
    return runs;
  };
  const list = new List({ height: 44, label: "Runs", head: HEAD(), class: "runs-list", row: row(chosen, choose),
    more: async () => {
      if (next) list.items.push(...await ask(next));
      return next !== null;
    } });
  const apply = () => {
    if (signal.aborted) return; // a field that goes with its view tells of a change, too
    const words = new URLSearchParams();
    for (const name of FILTERS) {
      const value = document.getElementById("f-" + name).value.trim();
      if (value) words.set(name, value);
    }
    location.hash = "#/history" + (words.size > 0 ? "?" + words : "");
  };
  const load = async () => {
    let runs = await ask(query.get("before"));
    while (runs.length === 0 && next && !signal.aborted) runs = await ask(next); // a rare one, far back
    list.set(runs, next === null);
    fill(none, runs.length === 0 && nothing(query));
    list.element.hidden = runs.length === 0;
    latestChain(chain, runs).catch(error => fill(below, problem(error)));
  };
  const place = h("div");
  fill(root, h("div", { class: "section-head" }, h("h1", null, "Job History"), compare), chain, place, list.element, none, below);
  await Promise.all([load(), get("pipelines").then(pipelines => fill(place, filters(query, pipelines, apply)))]);
  let late = null;
  on("run", run => {
    const at = list.items.findIndex(one => one.run === run.run);
    if (at >= 0) list.put(at, run);
    else if (wanted(run, query) && (list.items.length === 0 || run.run > list.items[0].run)) list.items.unshift(run);
    list.element.hidden = list.items.length === 0;
    if (list.items.length > 0) fill(none);
    list.draw();
    late ||= setTimeout(() => { late = null; if (!signal.aborted) latestChain(chain, list.items).catch(() => {}); }, 250);
  }, signal);
  on("second", () => { for (const { item, index } of list.shown()) if (f.live(item)) list.put(index, { ...item }); }, signal);
  on("refresh", () => load().catch(error => fill(below, problem(error))), signal);
}
