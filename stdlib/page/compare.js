// Two runs side by side: only what differs.

import { get } from "./api.js";
import { fill, h, link } from "./dom.js";
import * as f from "./format.js";

export async function show(root, { args }) {
  const [a, b] = args.map(Number), told = await get(`compare?a=${a}&b=${b}`);
  const cell = value => h("td", null, f.has(value) ? f.visible(value) : h("span", { class: "faint" }, "none"));
  fill(root, h("div", { class: "section-head" }, h("h1", null, "Runs ", link(`#/runs/${a}`, a), " and ", link(`#/runs/${b}`, b)),
    h("span", { class: "faint" }, `${f.plural(told.differences.length, "difference")}, ${f.number(told.same)} the same`)),
  told.unknown.map(text => h("p", { class: "note warn" }, f.visible(text))),
  h("section", { class: "panel" }, h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "What differs" }, h("table", { class: "plain wide-cells compare" },
    h("thead", null, h("tr", null, h("th", { scope: "col" }, "What"), h("th", { scope: "col" }, `Run ${a}`), h("th", { scope: "col" }, `Run ${b}`))),
    h("tbody", null, told.differences.map(one => h("tr", null, h("th", { scope: "row" }, f.visible(one.what)), cell(one.a), cell(one.b))))))),
  told.lines.length > 0 && h("section", { class: "panel" }, h("h2", null, "Script"), h("pre", { class: "type diff", tabindex: "0" },
    told.lines.map(line => h("span", { class: line.startsWith("-") ? "minus" : "plus" }, f.visible(line) + "\n")))));
}
