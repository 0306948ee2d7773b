// A run's log. Small ones are held whole; of a large one only the part that is seen is fetched, by its place in the file.

import { get, on, part, raw } from "./api.js";
import { fill, h, problem } from "./dom.js";
import * as f from "./format.js";

const ROW = 19, WHOLE_MAX = 3 << 20, TALLEST = 6000000, AVERAGE = 90, SPARE = 20;
const LINE = /^(\S+) (out|err) ?(.*)$/s;

function split(text) {
  const found = text.match(LINE);
  return found ? { time: found[1], stream: found[2], text: found[3] } : { time: "", stream: "out", text };
}

function marked(text, wanted) {
  if (!wanted) return text;
  const parts = [], low = text.toLowerCase(), what = wanted.toLowerCase();
  let at = 0;
  for (let from = low.indexOf(what); from >= 0 && parts.length < 200; from = low.indexOf(what, at)) {
    parts.push(text.slice(at, from), h("mark", null, text.slice(from, from + what.length)));
    at = from + what.length;
  }
  return [...parts, text.slice(at)];
}

export class Log {
  constructor(run, signal) {
    this.run = run.run;
    this.going = f.live(run);
    this.size = 0;
    this.lines = [];   // of a log held whole
    this.next = 0;
    this.large = false;
    this.following = this.going;
    this.rows = h("div", { class: "log-rows" });
    this.space = h("div", { class: "log-space" }, this.rows);
    this.box = h("div", { class: "log-box", tabindex: "0", role: "region", "aria-label": `Log of run ${this.run}` }, this.space);
    this.box.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.told = h("span", { class: "faint", role: "status" });
    this.element = h("div", { class: "log" }, this.bar(), this.box);
    new ResizeObserver(() => this.draw()).observe(this.box);
    on("log", told => { if (told.run === this.run) this.grown(told.size); }, signal);
    on("run", told => { if (told.run === this.run) { this.going = f.live(told); if (!this.going) this.grown(); } }, signal);
    on("refresh", () => this.grown(), signal);
  }

  bar() {
    const search = h("input", { type: "search", placeholder: "Search the log", "aria-label": "Search the log" });
    search.addEventListener("input", () => { clearTimeout(this.soon); this.soon = setTimeout(() => this.search(search.value), 200); });
    search.addEventListener("keydown", event => { if (event.key === "Enter") { event.preventDefault(); this.step(event.shiftKey ? -1 : 1); } });
    this.follow = h("input", { type: "checkbox", checked: this.following, onchange: event => { this.following = event.target.checked; this.draw(); } });
    return h("div", { class: "log-bar" }, search,
      h("button", { class: "quiet", "aria-label": "Match before", onclick: () => this.step(-1) }, "↑"),
      h("button", { class: "quiet", "aria-label": "Next match", onclick: () => this.step(1) }, "↓"),
      this.told, h("label", { class: "check" }, this.follow, "Follow"));
  }

  // ====== Reading ======

  async load() {
    const answer = await raw(`runs/${this.run}/logs?offset=0`);
    this.size = Number(answer.headers.get("X-Log-Size"));
    if (this.size > WHOLE_MAX) {
      this.large = true;
      this.following = this.follow.checked = this.going;
      return this.draw(true);
    }
    await this.take(answer);
    while (this.next < this.size && await this.take(await raw(`runs/${this.run}/logs?offset=${this.next}`)));
    this.draw(true);
  }

  async take(answer) {
    const text = await answer.text();
    if (text === "") return false;
    this.next = Number(answer.headers.get("X-Next-Offset"));
    const lines = text.split("\n");
    if (lines[lines.length - 1] === "") lines.pop();
    for (const line of lines) this.lines.push(split(line));
    return true;
  }

  // One fetch at a time; what came meanwhile is fetched after it.
  async grown(size) {
    if (size) this.size = Math.max(this.size, size);
    if (this.large) return this.draw(true);
    if (this.fetching) { this.again = true; return; }
    this.fetching = true;
    try {
      do {
        this.again = false;
        while (await this.take(await raw(`runs/${this.run}/logs?offset=${this.next}`)));
      } while (this.again);
      this.size = Math.max(this.size, this.next);
      if (this.size > 2 * WHOLE_MAX) { this.large = true; this.lines = []; }
      this.draw(true);
    } catch (error) { fill(this.told, error.message); }
    this.fetching = false;
  }

  // ====== Drawing ======

  height() {
    return Math.min(TALLEST, this.large ? Math.ceil(this.size / AVERAGE) * ROW : this.lines.length * ROW);
  }

  scrolled() {
    const atEnd = this.box.scrollTop + this.box.clientHeight >= this.box.scrollHeight - ROW;
    if (!atEnd && this.following && !this.jumping) this.following = this.follow.checked = false;
    this.draw();
  }

  line(one, index) {
    return h("div", { class: `log-line ${one.stream}${this.matchAt === index && index !== undefined ? " is-match" : ""}` },
      h("span", { class: "log-time" }, f.logTime(one.time)), h("span", { class: "log-text" }, marked(f.visible(one.text), this.wanted)));
  }

  draw(anew) {
    this.space.style.height = `${this.height()}px`;
    if (this.following && !this.jumping) {
      this.jumping = true;
      this.box.scrollTop = this.box.scrollHeight;
      requestAnimationFrame(() => { this.jumping = false; });
    }
    if (this.large) return this.drawPart();
    const first = Math.max(0, Math.floor(this.box.scrollTop / ROW) - SPARE);
    const last = Math.min(this.lines.length, first + Math.ceil((this.box.clientHeight || 400) / ROW) + 2 * SPARE);
    if (!anew && first === this.first && last === this.last) return;
    this.first = first;
    this.last = last;
    this.rows.style.transform = `translateY(${first * ROW}px)`;
    fill(this.rows, this.lines.length === 0 ? h("div", { class: "log-none" }, this.going ? "No line yet." : "It wrote nothing.") : this.lines.slice(first, last).map((line, i) => this.line(line, first + i)));
    if (!this.wanted) fill(this.told, f.plural(this.lines.length, "line"));
  }

  // Where one has scrolled to says which byte is at the top.
  async drawPart(byte) {
    if (this.parting) { this.partAgain = true; return; }
    this.parting = true;
    do {
      this.partAgain = false;
      const top = this.box.scrollTop, range = Math.max(1, this.box.scrollHeight - this.box.clientHeight);
      const count = Math.ceil((this.box.clientHeight || 400) / ROW) + 1;
      const tail = top >= range - 1;
      const at = f.has(byte) ? byte : tail ? Math.max(0, this.size - count * 400) : Math.floor(top / range * Math.max(0, this.size - count * AVERAGE));
      byte = undefined;
      try { await this.fetchPart(at, count, tail, top); } catch (error) { fill(this.told, error.message); }
    } while (this.partAgain);
    this.parting = false;
  }

  async fetchPart(at, count, tail, top) {
    const from = Math.max(0, at - 1);
    const answer = await raw(`runs/${this.run}/logs?offset=${from}&bytes=${Math.max(16384, count * 400)}`);
    const lines = (await answer.text()).split("\n");
    if (at > 0) lines.shift(); // from the middle of a line on
    if (lines[lines.length - 1] === "") lines.pop();
    const shown = tail ? lines.slice(-count) : lines.slice(0, count + SPARE);
    this.rows.style.transform = `translateY(${tail ? Math.max(0, this.height() - shown.length * ROW) : top}px)`;
    fill(this.rows, shown.map(line => this.line(split(line))));
    if (!this.wanted) fill(this.told, `${f.bytes(this.size)}, shown from ${(100 * at / Math.max(1, this.size)).toFixed(1)} %`);
  }

  // ====== Searching ======

  async search(text) {
    this.wanted = text;
    this.matches = [];
    this.match = -1;
    this.matchAt = undefined;
    if (!text) return this.draw(true);
    if (this.large) await this.searchFile(text);
    else {
      const low = text.toLowerCase();
      this.lines.forEach((line, index) => { if (line.text.toLowerCase().includes(low)) this.matches.push(index); });
    }
    if (this.wanted !== text) return;
    if (this.matches.length > 0) this.step(1);
    else { fill(this.told, "no line has it"); this.draw(true); }
  }

  async searchFile(text) {
    let next = 0;
    try {
      while (f.has(next) && this.wanted === text && this.matches.length < 2000) {
        const found = await get(`runs/${this.run}/logs/find?text=${part(text)}&offset=${next}`);
        for (const one of found.matches) this.matches.push(one.offset);
        next = found.next;
        fill(this.told, `${f.plural(this.matches.length, "match").replace(/matchs$/, "matches")}${f.has(next) ? " so far" : ""}`);
      }
    } catch (error) { fill(this.told, problem(error)); }
  }

  step(by) {
    if (!this.matches || this.matches.length === 0) return;
    this.following = this.follow.checked = false;
    this.match = (this.match + by + this.matches.length) % this.matches.length;
    const at = this.matches[this.match];
    fill(this.told, `${f.number(this.match + 1)} of ${f.number(this.matches.length)}`);
    if (this.large) {
      const range = Math.max(1, this.box.scrollHeight - this.box.clientHeight);
      this.box.scrollTop = at / Math.max(1, this.size) * range;
      return this.drawPart(at);
    }
    this.matchAt = at;
    this.box.scrollTop = Math.max(0, at * ROW - this.box.clientHeight / 2);
    this.draw(true);
  }
}
