// One run: where it stands in its chain, its log and curves as they come, what it read and put out.

import { get, on, part } from "./api.js";
import { open } from "./card.js";
import { Charts } from "./charts.js";
import { fill, h, link, problem, state } from "./dom.js";
import { act } from "./form.js";
import * as f from "./format.js";
import { graph } from "./graph.js";
import { Log } from "./log.js";
import { snapshotLine } from "./snapshots.js";
import { timeline } from "./timeline.js";

function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.filter(pair => pair && f.has(pair[1]) && pair[1] !== "").map(([name, value]) => [h("dt", null, name), h("dd", null, value)]));
}

const LONG = 160;

// A frame that travels is a long recipe: there for who wants it.
function value(of) {
  const text = f.plain(of);
  return text.length <= LONG ? text : h("details", null, h("summary", null, `${text.slice(0, 40)}…`), text);
}

function values(title, object) {
  const names = Object.keys(object || {}).sort();
  if (names.length === 0) return null;
  return h("section", { class: "panel" }, h("h2", null, title), h("table", { class: "plain" }, h("tbody", null,
    names.map(name => h("tr", null, h("th", { scope: "row" }, f.visible(name)), h("td", null, value(object[name])))))));
}

// ====== Head ======

function buttons(run) {
  return h("div", { class: "buttons" },
    f.live(run) && h("button", { onclick: () => act(run.run, "stop") }, "Stop"),
    f.bad(run) && f.has(run.pipeline_run) && h("button", { class: "primary", onclick: () => act(run.run, "resume") }, "Resume"),
    f.bad(run) && h("button", { onclick: () => act(run.run, "retry") }, "Retry"),
    !f.live(run) && f.has(run.pipeline) && h("button", { onclick: () => open(run.pipeline, run.job, run.params) }, "Run again"),
    run.before && link(`#/compare/${run.before}/${run.run}`, `Compare with run ${run.before}`, { class: "button" }));
}

function head(run) {
  const texts = (run.notes || []).map(note => note.data && note.data.text).filter(Boolean);
  return [
    h("div", { class: "section-head" }, h("h1", null, `Run ${run.run} `, h("span", { class: "faint" }, f.visible(run.job))), state(run.state), buttons(run)),
    f.has(run.reused) && h("p", { class: "note" }, "It was not run: nothing it depends on has changed since ", link(`#/runs/${run.reused}`, `run ${run.reused}`), ", whose outputs it has."),
    f.has(run.reason) && h("p", { class: f.bad(run) ? "problem" : "note" }, f.visible(run.reason)),
    texts.map(text => h("p", { class: /rejected/.test(text) ? "note warn" : "note" }, f.visible(text))),
    f.has(run.trace) && h("details", null, h("summary", null, "Traceback"), h("pre", { class: "type", tabindex: "0" }, f.visible(run.trace))),
  ];
}

function about(run) {
  const attempts = (run.attempts || []).map(one => `${one.attempt}: ${one.state}${f.has(one.reason) ? ` (${f.visible(one.reason)})` : ""}`);
  return h("section", { class: "panel" }, h("h2", null, "About"), facts([
    ["pipeline", f.has(run.pipeline) ? f.visible(run.pipeline) : null], ["trigger", f.trigger(run) + (run.trigger && f.has(run.trigger.detail) ? ` (${f.visible(run.trigger.detail)})` : "")],
    ["began", h("time", { datetime: new Date(run.created).toISOString() }, f.time(run.created))],
    ["took", h("span", { "data-took": "1" }, f.duration(f.took(run)))], ["attempt", run.attempt > 1 || attempts.length > 0 ? `${run.attempt}${attempts.length > 0 ? `; before: ${attempts.join("; ")}` : ""}` : null],
    ["script", f.visible(run.script)], ["consumer", f.visible(run.consumer)], ["rehearsal", f.has(run.rehearsal) ? `${run.rehearsal}: it consumed nothing` : null],
    ["input of", Object.keys(run.inputs || {}).length > 0 ? Object.entries(run.inputs).map(([name, id], i) => [i > 0 && ", ", link(`#/runs/${id}`, `${f.visible(name)} (run ${id})`)]) : null],
  ]));
}

// ====== What it used, read, logged ======

function meter(name, used, most, text) {
  const share = f.has(most) && most > 0 ? Math.min(1, used / most) : null;
  return h("div", { class: "meter" }, h("span", null, name), h("span", { class: "strong" }, text),
    share !== null && h("meter", { min: 0, max: 1, high: 0.9, value: share, "aria-label": `${name}: ${text}` }));
}

function resources(run) {
  const used = run.usage, profile = (run.spec && run.spec.resources) || {};
  if (!used) return null;
  const seconds = Math.max(0.001, f.took(run) / 1000), cpus = used.cpu_ms / 1000 / seconds;
  return h("section", { class: "panel" }, h("h2", null, "Used, of its profile"),
    meter("memory", used.peak_memory, used.memory_max, `${f.bytes(used.peak_memory)}${f.has(used.memory_max) ? ` of ${f.bytes(used.memory_max)}` : ""} at most`),
    meter("processors", cpus, profile.cpu, `${cpus.toFixed(2)}${f.has(profile.cpu) ? ` of ${profile.cpu}` : ""} on average (${f.duration(used.cpu_ms)})`),
    meter("read", 0, null, f.bytes(used.bytes_read)));
}

async function increment(range) {
  const read = range.read, words = h("p", null, h("strong", null, f.plural(range.rows, "row")), ` of `, link(`#/tables/${part(range.table)}`, f.visible(range.table)),
    range.branch !== "main" && ` (${f.visible(range.branch)})`, f.has(range.from) ? ` after ${range.from}` : " from the beginning", ` up to ${f.has(range.to) ? range.to : "no snapshot"}`,
    f.has(range.held) && ` · ${range.held} for a release`, read && read.snapshots && ` · ${f.plural(read.snapshots.length, "snapshot")}`);
  const box = h("div", { class: "increment" }, words);
  try {
    const table = await get(`tables/${part(range.table)}`);
    if (table.uuid === range.table_uuid) box.append(snapshotLine(table, { range, marks: [] }));
  } catch { /* the words must do */ }
  return box;
}

const increments = async run => (run.ranges || []).length === 0 ? null
  : h("section", { class: "panel" }, h("h2", null, "Increment"), await Promise.all(run.ranges.map(increment)));

function pictures(run, files) {
  const images = files.filter(file => /\.(svg|png)$/i.test(file.path)).slice(0, 12);
  return images.length > 0 && h("section", { class: "panel" }, h("h2", null, "Plots"), h("div", { class: "plots" }, images.map(file =>
    h("figure", null, h("img", { src: `/api/v1/runs/${run.run}/artifacts?path=${part(file.path)}`, alt: f.visible(file.path), loading: "lazy" }), h("figcaption", null, f.visible(file.path))))));
}

function tracked(run, told) {
  const single = told.metrics.filter(metric => metric.points.length === 1);
  return [
    h("section", { class: "panel" }, h("h2", null, "MLflow"), facts([
      ["run", told.link ? link(told.link, f.visible(told.name || told.run_id)) : f.visible(told.name || told.run_id)], ["id", h("code", null, told.run_id)], ["status", told.status],
      ["open it", told.link ? null : h("code", null, "mlflow ui --backend-store-uri sqlite:///mlflow.db")]]),
    single.length > 0 && h("table", { class: "plain" }, h("caption", null, "Metrics"), h("tbody", null, single.map(metric => h("tr", null, h("th", { scope: "row" }, f.visible(metric.name)), h("td", { class: "number" }, f.figure(metric.points[0][1])))))),
    told.files.length > 0 && h("details", null, h("summary", null, f.plural(told.files.length, "file")), h("ul", { class: "files" }, told.files.map(file => h("li", null, f.visible(file.path), h("span", { class: "faint" }, " ", f.bytes(file.size))))))),
    values("MLflow params", told.params),
  ];
}

// ====== Lineage ======

function lineageBox(told, signal) {
  const boxes = new Map();
  for (const node of told.nodes) {
    boxes.set(node.id, h("div", { class: `card node k-${node.kind}${node.id === told.target ? " is-target" : ""}${node.gone ? " is-gone" : ""}` },
      h("span", { class: "kind" }, node.kind.replace("_", " ")), node.kind === "run" && !node.gone ? link(`#/runs/${node.run}`, f.visible(node.title)) : h("span", { class: "strong" }, f.visible(node.title)),
      node.subtitle && h("span", { class: "faint" }, f.visible(node.subtitle))));
  }
  return graph(told.columns.map(column => column.filter(id => boxes.has(id))), boxes, told.edges, "Lineage", signal);
}

function lineage(run, signal) {
  const box = h("div"), load = async () => {
    fill(box, h("p", { class: "faint" }, "Looking…"));
    try { fill(box, lineageBox(await get(`runs/${run.run}/lineage`), signal)); } catch (error) { fill(box, problem(error)); }
  };
  load();
  return h("section", { class: "panel" }, h("h2", null, "Lineage"), box);
}

// ====== All of it ======

async function before(run) {
  if (!f.has(run.pipeline)) return null;
  const list = await get(`runs?pipeline=${part(run.pipeline)}&job=${part(run.job)}&before=${run.run}&limit=1`);
  return list.length > 0 ? list[0].run : null;
}

export async function show(root, { args, signal }) {
  const id = Number(args[0]);
  let run = await get(`runs/${id}`), looked = 0;
  run.before = await before(run);
  document.title = `Run ${id}, ${run.job} · mlengine`;
  const top = h("div"), chain = h("section", { class: "panel" }), side = h("div", { class: "side" }), below = h("div"), mlflow = h("div"), plots = h("div"), curves = h("section", { class: "panel", hidden: true });
  const log = new Log(run, signal), charts = new Charts(signal);
  curves.append(h("h2", null, "Metrics, as they are trained"), charts.element);
  fill(root, top, chain, h("div", { class: "columns" },
    h("div", { class: "wide" }, curves, h("section", { class: "panel" }, h("h2", null, "Log"), log.element), plots), side), below);

  const drawSide = async () => fill(side, about(run), values("Parameters", run.params), values("Outputs", run.outputs), await increments(run), resources(run), mlflow);
  const drawChain = async () => {
    if (!f.has(run.pipeline_run)) { chain.hidden = true; return; }
    const runs = (await get(`runs?pipeline_run=${run.pipeline_run}&limit=100`)).reverse();
    fill(chain, h("h2", null, "Chain"), timeline(runs, run.run));
  };
  const track = async () => {
    if (!f.has(run.mlflow_run)) return;
    looked = Date.now();
    try {
      const told = await get(`runs/${id}/tracking`);
      if (signal.aborted) return;
      curves.hidden = charts.show(told.metrics) === 0 && charts.by.size === 0;
      fill(mlflow, tracked(run, told));
      if (!f.live(run)) fill(plots, pictures(run, told.files));
    } catch (error) { fill(mlflow, h("section", { class: "panel" }, h("h2", null, "MLflow"), problem(error))); }
  };
  const drawBelow = () => fill(below, !f.live(run) && lineage(run, signal),
    h("section", { class: "panel" }, h("details", null, h("summary", null, `Script, as it ran (${f.visible(run.script)})`), h("pre", { class: "type script", tabindex: "0" }, f.visible(run.script_text || "")))));

  fill(top, head(run));
  const ready = [log.load(), drawChain(), drawSide(), track()];
  drawBelow();
  for (const one of ready) one.catch(error => { if (!signal.aborted) below.prepend(problem(error)); });

  const again = async () => {
    const known = run.before;
    run = await get(`runs/${id}`);
    run.before = known;
    if (signal.aborted) return;
    fill(top, head(run));
    await Promise.all([drawSide(), drawChain(), track()]);
    drawBelow();
  };
  on("run", told => {
    if (told.run === id && (told.state !== run.state || told.mlflow_run !== run.mlflow_run || told.attempt !== run.attempt || told.ranges.length !== run.ranges.length)) return void again().catch(() => {});
    if (f.has(run.pipeline_run) && told.pipeline_run === run.pipeline_run) drawChain().catch(() => {});
  }, signal);
  on("second", () => {
    if (!f.live(run)) return;
    const place = side.querySelector("[data-took]");
    if (place) place.textContent = f.duration(f.took(run));
    if (!document.hidden && Date.now() - looked > 900) track();
  }, signal);
  on("refresh", () => again().catch(() => {}), signal);
}
