// Jobs: each pipeline as a graph with live states; very large ones as a list.

import { get, on, part } from "./api.js";
import { code, empty, fill, h, link, problem, state } from "./dom.js";
import { act, start } from "./form.js";
import * as f from "./format.js";
import { columnsOf, graph } from "./graph.js";
import { List } from "./list.js";

const GRAPH_MAX = 60;

const after = job => job.after.map(parent => typeof parent === "string" ? { name: parent } : parent);

function afterText(job) {
  return after(job).map(p => p.on && p.on !== "success" ? `${p.name} (on ${p.on})` : p.name).join(", ");
}

function startsText(job) {
  if (!job.enabled) return "switched off";
  if (job.after.length > 0) return `after ${afterText(job)}`;
  return job.schedule;
}

function lastText(run) {
  if (!run) return "never ran";
  return f.live(run) ? f.duration(f.took(run)) : `${f.duration(f.took(run))}, ${f.ago(run.ended || run.created)}`;
}

async function open(pipeline, job) {
  try {
    const groups = job ? (await get(`pipelines/${part(pipeline)}/jobs/${part(job)}`)).params : await groupsOf(pipeline);
    start(pipeline, job, groups);
  } catch (error) { document.getElementById("toasts").append(problem(error)); }
}

// A whole pipeline runs what any of its first jobs would, each once.
async function groupsOf(pipeline) {
  const whole = await get(`pipelines/${part(pipeline)}`), seen = new Map();
  for (const job of whole.jobs.filter(one => one.after.length === 0))
    for (const group of (await get(`pipelines/${part(pipeline)}/jobs/${part(job.job)}`)).params) seen.set(group.job, group);
  return whole.jobs.map(job => seen.get(job.job)).filter(Boolean);
}

// ====== One job ======

class Card {
  constructor(job) {
    this.job = job;
    this.run = job.last_run;
    this.live = h("div", { class: "card-run" });
    this.buttons = h("div", { class: "card-buttons" });
    this.element = h("article", { class: "card", "aria-label": job.job },
      h("h3", null, link(`#/history?pipeline=${part(job.pipeline)}&job=${part(job.job)}`, job.job)),
      this.live,
      h("dl", { class: "facts small" },
        h("dt", null, "starts"), h("dd", null, startsText(job)),
        f.has(job.next) && [h("dt", null, "next"), h("dd", null, h("time", { datetime: new Date(job.next).toISOString(), title: f.time(job.next) }, `${f.minute(job.next)} (${f.until(job.next)})`))],
        h("dt", null, "profile"), h("dd", null, f.profile(job.resources))),
      this.buttons);
    this.show();
  }

  show() {
    const { run, job } = this, name = run ? run.state : "none";
    this.element.setAttribute("data-state", name);
    fill(this.live, run ? [link(`#/runs/${run.run}`, state(run.state)), h("span", { class: "faint" }, lastText(run))] : h("span", { class: "faint" }, "never ran"));
    const button = (verb, does, kind) => h("button", { class: kind || "", "aria-label": `${verb} ${job.job}`, onclick: does }, verb);
    fill(this.buttons, button("Run", () => open(job.pipeline, job.job), "accent"),
      run && f.live(run) && button("Stop", () => act(run.run, "stop")),
      run && f.bad(run) && [button("Resume", () => act(run.run, "resume")), button("Retry", () => act(run.run, "retry"))]);
  }

  take(run) {
    const again = this.run && this.run.run === run.run && this.run.state === run.state;
    this.run = run;
    if (again) fill(this.live, link(`#/runs/${run.run}`, state(run.state)), h("span", { class: "faint" }, lastText(run)));
    else this.show();
  }

  tick() { if (this.run && f.live(this.run)) this.take(this.run); }
}

// ====== Pipelines ======

async function asGraph(pipeline, cards, signal) {
  const { jobs } = await get(`pipelines/${part(pipeline.pipeline)}`);
  const boxes = new Map(), by = new Map(jobs.map(job => [job.job, job])), edges = [];
  for (const job of jobs) {
    const card = new Card(job);
    boxes.set(job.job, card.element);
    cards.set(`${pipeline.pipeline}/${job.job}`, card);
    for (const parent of after(job)) edges.push({ from: parent.name, to: job.job, class: parent.on && parent.on !== "success" ? "on-" + parent.on : "" });
  }
  const columns = columnsOf(jobs.map(job => job.job), name => after(by.get(name)).map(p => p.name).filter(p => by.has(p)));
  return graph(columns, boxes, edges, `Jobs of ${pipeline.pipeline}`, signal);
}

const HEAD = h => h("div", { role: "row", class: "list-row job-row" },
  ["Job", "State", "Starts", "Next", "Profile", ""].map(title => h("span", { role: "columnheader" }, title)));

function listRow(cards) {
  return (job, index) => {
    const run = (cards.get(`${job.pipeline}/${job.job}`) || {}).run || job.last_run;
    const cell = (...content) => h("span", { role: "cell" }, content);
    return h("div", { role: "row", class: "list-row job-row", "aria-rowindex": index + 2 },
      cell(link(`#/history?pipeline=${part(job.pipeline)}&job=${part(job.job)}`, job.job)),
      cell(run ? link(`#/runs/${run.run}`, state(run.state)) : h("span", { class: "faint" }, "never ran")),
      cell(startsText(job)), cell(f.has(job.next) ? f.minute(job.next) : "–"), cell(f.profile(job.resources)),
      cell(h("button", { "aria-label": `Run ${job.job}`, onclick: () => open(job.pipeline, job.job) }, "Run")));
  };
}

// Pages of GET /jobs, which lists the pipelines' jobs one pipeline after the other.
function asList(pipeline, skip, cards, signal) {
  const list = new List({ height: 40, label: `Jobs of ${pipeline.pipeline}`, head: HEAD(h), class: "jobs-list", row: listRow(cards),
    more: async () => {
      const have = list.items.length, want = Math.min(200, pipeline.jobs - have);
      const page = want > 0 ? await get(`jobs?limit=${want}&offset=${skip + have}`) : [];
      list.items.push(...page);
      return list.items.length < pipeline.jobs && page.length > 0;
    } });
  on("run", run => {
    if (run.pipeline !== pipeline.pipeline || run.rehearsal) return;
    cards.set(`${run.pipeline}/${run.job}`, { run, take(next) { this.run = next; }, tick() {} });
    list.draw(true);
  }, signal);
  list.more();
  return list.element;
}

async function section(pipeline, skip, cards, signal) {
  const words = `${f.plural(pipeline.jobs, "job")} · ${pipeline.file}`;
  const head = h("div", { class: "section-head" }, h("h2", null, pipeline.pipeline || pipeline.file), h("span", { class: "faint" }, words),
    pipeline.pipeline && h("button", { class: "primary", "aria-label": `Run all of ${pipeline.pipeline}`, onclick: () => open(pipeline.pipeline) }, "Run all"));
  const broken = pipeline.error && h("p", { class: "problem", role: "alert" }, pipeline.error, pipeline.pipeline ? " The form before is kept." : "");
  if (!pipeline.pipeline) return h("section", { class: "panel" }, head, broken);
  const body = pipeline.jobs > GRAPH_MAX ? asList(pipeline, skip, cards, signal) : await asGraph(pipeline, cards, signal);
  return h("section", { class: "panel", "aria-label": pipeline.pipeline }, head, broken, body);
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

export async function show(root, { signal }) {
  const draw = async () => {
    const cards = new Map(), pipelines = await get("pipelines");
    if (signal.aborted) return;
    if (pipelines.length === 0) return void fill(root, h("h1", null, "Jobs"), firstRun());
    const sections = [];
    let skip = 0;
    for (const one of pipelines) {
      sections.push(await section(one, skip, cards, inner.signal));
      skip += one.jobs;
    }
    const never = [...cards.values()].every(card => !card.run);
    const queue = h("div"), hint = never && cards.size > 0 && h("p", { class: "note" }, "Nothing has run yet: press Run on the first job, or type ",
      h("code", null, `mlengine trigger "${pipelines[0].pipeline}" --wait`), ".");
    fill(root, h("h1", null, "Jobs"), hint, queue, sections);
    if (hint) on("run", () => hint.remove(), inner.signal);
    waiting(queue, await get("triggers?limit=20"));
    on("run", run => { const card = !run.rehearsal && cards.get(`${run.pipeline}/${run.job}`); if (card) card.take(run); }, inner.signal);
    on("triggers", triggers => waiting(queue, triggers), inner.signal);
    on("second", () => { for (const card of cards.values()) card.tick(); }, inner.signal);
  };
  let inner = new AbortController();
  const again = () => {
    inner.abort();
    inner = new AbortController();
    draw().catch(error => fill(root, h("h1", null, "Jobs"), problem(error)));
  };
  signal.addEventListener("abort", () => inner.abort());
  on("pipelines", again, signal);
  on("refresh", again, signal);
  await draw();
}
