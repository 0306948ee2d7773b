// A list of which only what is seen exists: rows of one height, more of them fetched while one scrolls.

import { fill, h } from "./dom.js";

const SPARE = 8;
const TALLEST = 8000000; // pixels; browsers draw no box much taller

export class List {
  // { height, label, head, row(item, index), more(): whether there were more }
  constructor(options) {
    this.options = options;
    this.items = [];
    this.ended = false;
    this.body = h("div", { class: "list-body" });
    this.space = h("div", { class: "list-space" }, this.body);
    this.box = h("div", { class: "list-box", tabindex: "0", role: "rowgroup", "aria-label": options.label }, this.space);
    this.element = h("div", { class: "list " + (options.class || ""), role: "table", "aria-label": options.label },
      h("div", { class: "list-head", role: "rowgroup" }, options.head), this.box);
    this.box.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(this.box);
  }

  set(items, ended) {
    this.items = items;
    this.ended = ended;
    this.draw(true);
  }

  draw(anew) {
    const { height, row } = this.options;
    const total = Math.min(TALLEST, this.items.length * height);
    this.space.style.height = `${total}px`;
    const first = Math.max(0, Math.floor(this.box.scrollTop / height) - SPARE);
    const last = Math.min(this.items.length, first + Math.ceil((this.box.clientHeight || 600) / height) + 2 * SPARE);
    if (anew || first !== this.first || last !== this.last) {
      this.first = first;
      this.last = last;
      this.body.style.transform = `translateY(${first * height}px)`;
      fill(this.body, this.items.slice(first, last).map((item, i) => row(item, first + i)));
    }
    if (last > this.items.length - 20) this.more();
  }

  async more() {
    if (this.ended || this.asking || !this.options.more) return;
    this.asking = true;
    try { this.ended = !await this.options.more(); } finally { this.asking = false; }
    this.draw(true);
  }
}
