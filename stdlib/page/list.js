// A list of which only what is seen exists: rows of one height. A row stays the same element while its item stays the
// same object, so that scrolling makes only what comes into view, and news keep the focus where it is.

import { h } from "./dom.js";

const SPARE = 6;
const TALLEST = 8000000; // pixels; browsers draw no box much taller
const CONTROLS = "a[href], button, input";

export class List {
  // { height, label, head, row(item, index), class }, and either
  //   more(): whether there are more, after it put them into items; or
  //   page(first, count): items by their place, of `total` that were set.
  constructor(options) {
    this.options = options;
    this.items = [];
    this.total = null;
    this.ended = false;
    this.drawn = new Map(); // item -> { element, index }
    this.pages = new Set();
    this.space = h("div", { class: "list-space" });
    this.box = h("div", { class: "list-box", tabindex: "0", role: "rowgroup", "aria-label": options.label }, this.space);
    this.element = h("div", { class: "list " + (options.class || ""), role: "table", "aria-label": options.label },
      h("div", { class: "list-head", role: "rowgroup" }, options.head), this.box);
    this.box.addEventListener("scroll", () => this.soon(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(this.box);
  }

  set(items, ended) {
    this.items = items;
    this.ended = ended;
    this.draw();
  }

  // For a list that is asked by place: how many there are, and the first of them.
  begin(total, items) {
    this.total = total;
    this.items = items;
    this.pages = new Set(items.length > 0 ? [0] : []);
    this.draw();
  }

  soon() { this.frame ||= requestAnimationFrame(() => { this.frame = 0; this.draw(); }); }

  count() { return this.total === null ? this.items.length : this.total; }

  // Replaces an item by what is new of it, or shows anew what may have grown older.
  put(index, item) {
    const old = this.items[index], shown = old && this.drawn.get(old);
    this.items[index] = item;
    if (!shown) return;
    this.drawn.delete(old);
    const element = this.make(item, index), at = [...shown.element.querySelectorAll(CONTROLS)].indexOf(document.activeElement);
    shown.element.replaceWith(element);
    if (at >= 0) (element.querySelectorAll(CONTROLS)[at] || element.querySelector(CONTROLS) || this.box).focus({ preventScroll: true });
  }

  make(item, index) {
    const element = this.options.row(item, index);
    element.style.transform = `translateY(${index * this.options.height}px)`;
    this.drawn.set(item, { element, index });
    return element;
  }

  draw() {
    const { height } = this.options, count = this.count();
    this.space.style.height = `${Math.min(TALLEST, count * height)}px`;
    const first = Math.max(0, Math.floor(this.box.scrollTop / height) - SPARE);
    const last = Math.min(count, first + Math.ceil((this.box.clientHeight || 600) / height) + 2 * SPARE);
    const seen = this.items.slice(first, last), keep = new Set(seen);
    for (const [item, shown] of this.drawn) {
      if (keep.has(item)) continue;
      shown.element.remove();
      this.drawn.delete(item);
    }
    let next = this.space.firstChild; // in the order of the list, also for who hears it
    seen.forEach((item, i) => {
      if (!item) return;
      const shown = this.drawn.get(item);
      if (shown && shown.index !== first + i) {
        shown.index = first + i;
        shown.element.style.transform = `translateY(${shown.index * height}px)`;
        shown.element.setAttribute("aria-rowindex", shown.index + 2);
      }
      const element = shown ? shown.element : this.make(item, first + i);
      if (element === next) next = next.nextSibling;
      else this.space.insertBefore(element, next);
    });
    if (this.total !== null) this.fetch(first, last);
    else if (last > count - 20) this.more();
  }

  shown() { return [...this.drawn.entries()].map(([item, { index }]) => ({ item, index })); }

  async more() {
    if (this.ended || this.asking || !this.options.more) return;
    this.asking = true;
    try { this.ended = !await this.options.more(); } catch { this.asking = false; return; }
    this.asking = false;
    this.draw();
  }

  // The pages that are seen; one at a time, so that who drags the bar does not ask for all that passes by.
  async fetch(first, last) {
    const { size } = this.options;
    if (this.asking) return;
    for (let page = Math.floor(first / size); page * size < last; page++) {
      if (this.pages.has(page)) continue;
      const { pages } = this;
      this.asking = true;
      let got = null;
      try { got = await this.options.page(page * size, size); } catch { /* asked again by the next look */ }
      this.asking = false;
      if (got === null || pages !== this.pages) return;
      pages.add(page);
      got.forEach((item, i) => { this.items[page * size + i] = item; });
      return this.draw();
    }
  }
}
