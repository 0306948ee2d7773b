// A table's history as a line of snapshots, with what was read of it, and who has read how far.

import { h, svg } from "./dom.js";
import * as f from "./format.js";

const SHOWN = 40, STEP = 34, PAD = 18;

function place(snapshots, id) { return snapshots.findIndex(s => String(s.id) === String(id)); }

function dotTitle(s) {
  return `snapshot ${s.id}, ${s.operation || "unknown"}, ${f.has(s.added) ? f.plural(s.added, "row") + " added" : ""}, ${f.time(s.time)}`;
}

// range: { from, to } is drawn as a band; marks: [{ snapshot, text }] as flags below the line.
export function snapshotLine(table, { range, marks }) {
  const all = table.snapshots, hidden = Math.max(0, all.length - SHOWN), shown = all.slice(hidden);
  if (shown.length === 0) return h("p", { class: "faint" }, "The table has no snapshot yet.");
  const x = index => PAD + index * STEP, width = Math.max(140, 2 * PAD + (shown.length - 1) * STEP);
  const flags = (marks || []).map(mark => ({ ...mark, at: place(shown, mark.snapshot) }));
  const parts = [svg("line", { x1: 4, y1: 26, x2: x(shown.length - 1), y2: 26, class: "snap-line" })];
  if (range && f.has(range.to)) {
    const to = place(shown, range.to), from = f.has(range.from) ? place(shown, range.from) : -1;
    if (to >= 0) parts.push(svg("rect", { x: x(from) + STEP / 2, y: 12, width: Math.max(STEP, (to - from) * STEP), height: 28, rx: 8, class: "snap-band" }));
  }
  shown.forEach((s, i) => parts.push(svg("circle", { cx: x(i), cy: 26, r: f.has(s.added) && s.added > 0 ? 6 : 4,
    class: `snap-dot op-${/^(append|replace|overwrite|delete)$/.test(s.operation) ? s.operation : "other"}${String(s.id) === String(table.current) ? " is-current" : ""}` }, svg("title", null, dotTitle(s)))));
  const by = new Map();
  for (const flag of flags) if (flag.at >= 0) by.set(flag.at, [...(by.get(flag.at) || []), flag]);
  for (const at of by.keys()) parts.push(svg("path", { d: `M${x(at)} 36 l5 9 h-10 z`, class: "snap-flag" }));
  const words = [f.plural(all.length, "snapshot"), ...flags.map(flag => `${flag.text}: ${flag.at >= 0 ? `at snapshot ${flag.snapshot}` : "before those shown"}`)];
  if (range) words.push(f.has(range.from) ? `read after ${range.from} up to ${range.to}` : `read from the beginning up to ${range.to}`);
  return h("figure", { class: "snaps" },
    h("div", { class: "snaps-box", tabindex: "0", role: "group", "aria-label": "History of the table" },
      svg("svg", { width, height: 50, viewBox: `0 0 ${width} 50`, role: "img", "aria-label": f.visible(words.join("; ")) }, parts)),
    h("figcaption", { class: "faint" }, hidden + (table.older || 0) > 0 && `${f.number(hidden + (table.older || 0))} older not shown. `,
      [...by.entries()].map(([at, list]) => `${list.map(flag => f.visible(flag.text)).join(", ")} ${list.length > 1 ? "have" : "has"} read up to snapshot ${at + 1 + hidden} of ${all.length}`).join("; ")));
}
