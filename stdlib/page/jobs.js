// Jobs: each pipeline as a graph with live states, a very large one as a list; and one list of those that are looked for.
// A pipeline is asked for when it comes into view.

import { get, on, part } from "./api.js";
import { after, Card, open } from "./card.js";
import { code, empty, fill, h, problem } from "./dom.js";
import * as f from "./format.js";
import { columnsOf, graph } from "./graph.js";
import { jobList } from "./joblist.js";

const GRAPH_MAX = 60, FIND_FROM = 12, RUNS = 100;
const STATES = ["succeeded", "failed", "running", "skipped", "stopped", "timed-out", "lost", "never"];

// ====== Pipelines ======

async function asGraph(pipeline, signal) {
  const [{ jobs }, runs] = await Promise.all([get(`pipelines/${part(pipeline.pipeline)}`), get(`runs?pipeline=${part(pipeline.pipeline)}&limit=${RUNS}`)]);
  const boxes = new Map(), cards = new Map(), by = new Map(jobs.map(job => [job.job, job])), edges = [];
  for (const job of jobs) {
    const card = new Card(job, runs.filter(run => run.job === job.job && !f.has(run.rehearsal)));
    boxes.set(job.job, card.element);
    cards.set(job.job, card);
    for (const parent of after(job)) edges.push({ from: parent.name, to: job.job, class: parent.on && parent.on !== "success" ? "on-" + parent.on : "" });
  }
  on("run", run => { const card = run.pipeline === pipeline.pipeline && !run.rehearsal && cards.get(run.job); if (card) card.take(run); }, signal);
  on("second", () => { for (const card of cards.values()) card.tick(); }, signal);
  const columns = columnsOf(jobs.map(job => job.job), name => after(by.get(name)).map(p => p.name).filter(p => by.has(p)));
  return graph(columns, boxes, edges, `Jobs of ${pipeline.pipeline}`, signal);
}

// Calls f once, when the element comes near to what is seen.
function whenSeen(element, does, signal) {
  const watcher = new IntersectionObserver(entries => {
    if (!entries.some(entry => entry.isIntersecting)) return;
    watcher.disconnect();
    does();
  }, { rootMargin: "300px" });
  watcher.observe(element);
  signal.addEventListener("abort", () => watcher.disconnect());
}

function section(pipeline, signal) {
  const words = `${f.plural(pipeline.jobs, "job")} · ${pipeline.file}`;
  const head = h("div", { class: "section-head" }, h("h2", null, pipeline.pipeline || pipeline.file), h("span", { class: "faint" }, words),
    pipeline.pipeline && h("button", { class: "primary", "aria-label": `Run all of ${pipeline.pipeline}`, onclick: () => open(pipeline.pipeline) }, "Run all"));
  const broken = pipeline.error && h("p", { class: "problem", role: "alert" }, pipeline.error, pipeline.pipeline ? " The form before is kept." : "");
  if (!pipeline.pipeline) return h("section", { class: "panel" }, head, broken);
  const large = pipeline.jobs > GRAPH_MAX, body = h("div", { class: large ? "awaited is-large" : "awaited" });
  const element = h("section", { class: "panel", "aria-label": pipeline.pipeline }, head, broken, body);
  whenSeen(element, async () => {
    try {
      const shown = large ? jobList({ pipeline: pipeline.pipeline }, `Jobs of ${pipeline.pipeline}`, false, signal) : await asGraph(pipeline, signal);
      if (!signal.aborted) fill(body, shown).setAttribute("class", "");
    } catch (error) { if (!signal.aborted) fill(body, problem(error)); }
  }, signal);
  return element;
}

function firstRun() {
  return empty("Nothing to run yet",
    "This project has no pipeline. Type this in its folder, and it appears here:",
    code("mlengine new fraud\nmlengine run fraud/pipeline.lua"),
    h("p", null, "Started while it was empty, mlengine up has to be started again to find it. ",
      "A pipeline of your own is a Lua file that ends with ", h("code", null, "return pipeline.new { ... }"), "; ", h("code", null, "mlengine help quickstart"), " shows one."));
}

function waiting(box, triggers) {
  const queued = triggers.filter(t => t.state === "queued");
  fill(box, queued.length > 0 && h("p", { class: "note" }, `${f.plural(queued.length, "start")} waiting: `,
    queued.map(t => (f.has(t.job) ? `${t.pipeline} / ${t.job}` : t.pipeline) + ` (${t.who})`).join(", ")));
}

// ====== Looking for jobs: what is asked stands in the address ======

function finder(query, look) {
  const text = h("input", { id: "find", type: "search", placeholder: "Find a job", "aria-label": "Find a job", value: query.get("find") || "" });
  const states = h("select", { id: "find-state" }, h("option", { value: "" }, "any"), STATES.map(name => h("option", { value: name }, name === "never" ? "never ran" : name)));
  states.value = query.get("state") || "";
  const told = h("span", { class: "faint", role: "status" });
  let late;
  const apply = () => {
    const next = new URLSearchParams();
    if (text.value.trim()) next.set("find", text.value.trim());
    if (states.value) next.set("state", states.value);
    history.replaceState(null, "", "#/jobs" + (next.size > 0 ? "?" + next : ""));
    look(next);
  };
  text.addEventListener("input", () => { clearTimeout(late); late = setTimeout(apply, 200); });
  states.addEventListener("change", apply);
  return { element: h("div", { class: "filters", role: "search" }, text, h("div", { class: "field inline" }, h("label", { for: "find-state" }, "Last run"), states), told), told };
}

export async function show(root, { query, signal }) {
  let inner = new AbortController(), pipelines = [], asked = query, find = null;
  const body = h("div"), queue = h("div"), hint = h("div");
  const look = next => {
    asked = next;
    inner.abort();
    inner = new AbortController();
    if (find) fill(find.told);
    if (next.size === 0) return void fill(body, pipelines.map(one => section(one, inner.signal)));
    fill(body, jobList({ find: next.get("find"), state: next.get("state") }, "Jobs found", true, inner.signal, total => fill(find.told, f.plural(total, "job"))));
  };
  const draw = async () => {
    let runs, triggers;
    [pipelines, runs, triggers] = await Promise.all([get("pipelines"), get("runs?limit=1"), get("triggers?limit=20")]);
    if (signal.aborted) return;
    if (pipelines.length === 0) return void fill(root, h("h1", null, "Jobs"), firstRun());
    const many = pipelines.reduce((sum, one) => sum + one.jobs, 0) > FIND_FROM || asked.size > 0;
    if (many) find ||= finder(asked, look);
    if (!body.isConnected) fill(root, h("h1", null, "Jobs"), hint, queue, find && find.element, body);
    fill(hint, runs.length === 0 && h("p", { class: "note" }, "Nothing has run yet: press Run on the first job, or type ",
      h("code", null, `mlengine trigger "${pipelines[0].pipeline}" --wait`), "."));
    look(asked);
    waiting(queue, triggers);
  };
  const again = () => { draw().catch(error => fill(root, h("h1", null, "Jobs"), problem(error))); };
  signal.addEventListener("abort", () => inner.abort());
  on("run", () => fill(hint), signal);
  on("triggers", now => waiting(queue, now), signal);
  on("pipelines", again, signal);
  on("refresh", again, signal);
  await draw();
}
