// Boxes in columns with lines between them: the jobs of a pipeline, where a model comes from.

import { fill, h, svg } from "./dom.js";

// Each node in the first column after all that it follows.
export function columnsOf(names, parentsOf) {
  const depth = new Map();
  const of = name => {
    if (!depth.has(name)) {
      depth.set(name, 0);
      depth.set(name, Math.max(-1, ...parentsOf(name).map(of)) + 1);
    }
    return depth.get(name);
  };
  const columns = [];
  for (const name of names) (columns[of(name)] ||= []).push(name);
  return columns;
}

function curve(a, b, origin) {
  const x1 = a.right - origin.left, y1 = a.top + a.height / 2 - origin.top;
  const x2 = b.left - origin.left, y2 = b.top + b.height / 2 - origin.top;
  const bend = Math.max(12, (x2 - x1) / 2);
  return `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
}

function draw(lines, box, boxes, edges) {
  const origin = box.getBoundingClientRect();
  lines.setAttribute("width", box.scrollWidth);
  lines.setAttribute("height", box.scrollHeight);
  const shift = { left: origin.left - box.scrollLeft, top: origin.top - box.scrollTop };
  fill(lines, edges.map(edge => {
    const a = boxes.get(edge.from), b = boxes.get(edge.to);
    if (!a || !b) return null;
    const from = a.getBoundingClientRect(), to = b.getBoundingClientRect();
    if (to.left <= from.right) return null; // one below the other, on a narrow screen
    return svg("path", { d: curve(from, to, shift), class: "edge " + (edge.class || "") });
  }));
}

// columns: lists of names; boxes: a Map of elements by name; edges: { from, to, class }.
export function graph(columns, boxes, edges, label, signal) {
  const lines = svg("svg", { class: "edges", "aria-hidden": "true" });
  const box = h("div", { class: "graph", role: "group", "aria-label": label, tabindex: "0" }, lines,
    columns.map(column => h("div", { class: "column" }, column.map(name => boxes.get(name) || null))));
  const redraw = () => draw(lines, box, boxes, edges);
  const watcher = new ResizeObserver(redraw);
  watcher.observe(box);
  for (const one of boxes.values()) watcher.observe(one);
  signal.addEventListener("abort", () => watcher.disconnect());
  return box;
}
