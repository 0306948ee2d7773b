// Tables: snapshots, how far each consumer has read, what it would be given next.

import { get, on, part } from "./api.js";
import { code, empty, fill, h, link, problem } from "./dom.js";
import * as f from "./format.js";
import { snapshotLine } from "./snapshots.js";

const column = (title, name) => h("th", { scope: "col", class: name || null }, title);

function listOf(told) {
  if (told.tables.length === 0) return empty("No table yet", "A job makes one when it appends to it. To look into one elsewhere:", code("mlengine table show [CATALOG.]NAMESPACE.TABLE"));
  return h("section", { class: "panel" }, h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Tables" }, h("table", { class: "plain wide-cells" },
    h("thead", null, h("tr", null, column("Table"), column("Rows", "number"), column("Snapshots", "number"), column("Files", "number"), column("Consumers", "number"), column("Changed"))),
    h("tbody", null, told.tables.map(table => h("tr", null, h("th", { scope: "row" }, link(`#/tables/${part(table.table)}`, f.visible(table.table))),
      table.error ? h("td", { colspan: 5 }, f.visible(table.error)) : [h("td", { class: "number" }, f.number(table.rows)), h("td", { class: "number" }, f.number(table.snapshots)), h("td", { class: "number" }, f.number(table.files)),
        h("td", { class: "number" }, f.number(table.consumers)), h("td", null, f.has(table.updated) ? f.ago(table.updated) : "–")]))))));
}

function next(one) {
  if (one.next.error) return h("span", { class: "warn-text" }, f.visible(one.next.error));
  if (one.next.rows === 0) return h("span", { class: "faint" }, "nothing new");
  return `${f.plural(one.next.rows, "row")} in ${f.plural(one.next.snapshots, "snapshot")}`;
}

function consumers(table) {
  if (table.consumers.length === 0) return h("p", { class: "faint" }, "Nobody has read it incrementally yet.");
  return h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Consumers" }, h("table", { class: "plain wide-cells" },
    h("thead", null, h("tr", null, column("Consumer"), column("Has read up to"), column("When"), column("Would read next"))),
    h("tbody", null, table.consumers.map(one => h("tr", null, h("th", { scope: "row" }, f.visible(one.consumer)), h("td", null, h("code", null, one.snapshot)), h("td", null, f.ago(one.updated)), h("td", null, next(one)))))));
}

function snapshots(table) {
  const refs = new Map();
  for (const ref of table.refs) refs.set(String(ref.snapshot_id), [...(refs.get(String(ref.snapshot_id)) || []), ref.name]);
  const readers = id => table.consumers.filter(one => String(one.snapshot) === String(id)).map(one => h("span", { class: "tag" }, f.visible(one.consumer)));
  return h("div", { class: "scroll tall", tabindex: "0", role: "group", "aria-label": "Snapshots" }, h("table", { class: "plain wide-cells" },
    h("thead", null, h("tr", null, column("Snapshot"), column("Committed"), column("Operation"), column("Added", "number"), column("Total", "number"), column("By run"), column("Read up to here by"))),
    h("tbody", null, [...table.snapshots].reverse().map(s => h("tr", null, h("th", { scope: "row" }, h("code", null, s.id), (refs.get(String(s.id)) || []).map(name => h("span", { class: "tag" }, f.visible(name)))),
      h("td", null, h("time", { datetime: new Date(s.time).toISOString() }, f.time(s.time))), h("td", null, f.plain(s.operation)), h("td", { class: "number" }, f.number(s.added)), h("td", { class: "number" }, f.number(s.total)),
      h("td", null, f.has(s.run) && /^\d+$/.test(s.run) ? link(`#/runs/${s.run}`, s.run) : "–"), h("td", null, readers(s.id)))))));
}

function tableOf(table) {
  const marks = table.consumers.map(one => ({ snapshot: one.snapshot, text: one.consumer }));
  return [
    h("section", { class: "panel" }, h("h2", null, "History"), snapshotLine(table, { marks }), consumers(table)),
    h("section", { class: "panel" }, h("h2", null, "Snapshots"), table.snapshots.length > 0 ? snapshots(table) : h("p", { class: "faint" }, "None yet.")),
    h("section", { class: "panel" }, h("details", null, h("summary", null, f.plural(table.columns.length, "column")), h("table", { class: "plain" }, h("tbody", null,
      table.columns.map(one => h("tr", null, h("th", { scope: "row" }, f.visible(one.name)), h("td", null, f.visible(one.type)), h("td", null, one.required ? "required" : ""))))))),
  ];
}

export async function show(root, { args, signal }) {
  const name = args[0];
  const draw = async () => {
    if (!name) {
      const told = await get("tables");
      return fill(root, h("h1", null, "Tables"), told.error && problem(told.error), listOf(told));
    }
    const table = await get(`tables/${part(name)}`);
    fill(root, h("div", { class: "section-head" }, h("h1", null, f.visible(name)), h("code", { class: "faint" }, f.visible(table.location))), tableOf(table));
  };
  await draw();
  let late = null;
  const again = () => { late ||= setTimeout(() => { late = null; if (!signal.aborted && !root.contains(document.activeElement)) draw().catch(() => {}); }, 400); };
  on("run", run => { if (!f.live(run)) again(); }, signal);
  on("refresh", again, signal);
}
