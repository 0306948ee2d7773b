// Models: what answers at each endpoint, how much and how fast, what was released and what was refused.

import { change, get, on, part } from "./api.js";
import { code, empty, fill, h, problem, state, svg, toast } from "./dom.js";
import { confirm } from "./form.js";
import * as f from "./format.js";

const LOOK_MS = 2000, POINTS = 60;
const STATES = { live: "succeeded", rejected: "skipped", failed: "failed", retired: "none", "rolled back": "stopped" };

// ====== Traffic: from the counters of two looks ======

function quantile(buckets, q) {
  const list = Object.entries(buckets).map(([bound, count]) => [bound === "+Inf" ? Infinity : Number(bound), count]).sort((a, b) => a[0] - b[0]);
  const total = list.length > 0 ? list[list.length - 1][1] : 0;
  if (total === 0) return null;
  const found = list.find(([, count]) => count >= q * total);
  return found[0] === Infinity ? list[list.length - 2][0] : found[0];
}

const since = (now, old) => Object.fromEntries(Object.entries(now).map(([bound, count]) => [bound, count - (old[bound] || 0)]));

class Traffic {
  constructor() { this.points = []; this.last = null; }

  take(endpoint, now) {
    const sum = { requests: 0, failed: 0, seconds: 0, buckets: {} };
    for (const one of endpoint.traffic) {
      sum.requests += one.requests;
      sum.failed += one.failed;
      for (const [bound, count] of Object.entries(one.buckets)) sum.buckets[bound] = (sum.buckets[bound] || 0) + count;
    }
    const old = this.last;
    this.last = { at: now, sum };
    this.total = sum;
    if (!old || sum.requests < old.sum.requests) return;
    const seconds = (now - old.at) / 1000, recent = since(sum.buckets, old.sum.buckets);
    this.rate = (sum.requests - old.sum.requests) / seconds;
    this.p50 = quantile(recent, 0.5);
    this.p99 = quantile(recent, 0.99);
    this.points.push(this.rate);
    if (this.points.length > POINTS) this.points.shift();
  }

  spark() {
    const most = Math.max(1, ...this.points), x = i => (i + POINTS - this.points.length) * 3, y = value => 34 - 30 * value / most;
    return svg("svg", { class: "spark", viewBox: `0 0 ${POINTS * 3} 36`, width: POINTS * 3, height: 36, role: "img", "aria-label": `Requests per second of the last two minutes, at most ${f.figure(Math.max(0, ...this.points))}` },
      svg("path", { d: this.points.length > 1 ? "M" + this.points.map((value, i) => `${x(i)} ${y(value).toFixed(1)}`).join("L") : "M0 34H180" }));
  }
}

const latency = seconds => f.has(seconds) ? seconds < 0.001 ? `≤ ${Math.round(seconds * 1e6)} µs` : `≤ ${f.figure(seconds * 1000)} ms` : "–";
const stat = (name, value, more) => h("div", { class: "stat" }, h("span", { class: "faint" }, name), h("span", { class: "big" }, value), more);

const percent = part => `${Number((100 * part).toFixed(1))} %`;

// Who answers which part; of a trial also how it goes.
function share(endpoint) {
  if (!endpoint.live) return null;
  const { trial } = endpoint, staged = f.has(trial) && (trial.shadow || trial.share > 0) && endpoint.releases.find(one => one.deployment === endpoint.staged);
  const rows = [[endpoint.live.uri, staged ? 1 - trial.share : 1, ""]];
  if (staged) rows.push([staged.uri, trial.share, trial.shadow ? "shadow: a copy of each request" : "canary"]);
  return [h("div", { class: "shares" }, rows.map(([uri, part, what]) => h("div", { class: "share" }, h("span", null, f.visible(uri), what && h("span", { class: "tag" }, what)),
    h("meter", { min: 0, max: 1, value: part, "aria-label": `${f.visible(uri)}: share of traffic` }), h("span", { class: "strong" }, percent(part))))),
  staged && h("p", { class: "note" }, [`${f.plural(trial.requests, "request")} tried`, `${f.number(trial.failed)} failed (of the live one ${f.number(trial.live_failed)})`,
    trial.compared > 0 && `${f.number(trial.compared)} compared, ${f.number(trial.differed)} differ, by ${f.figure(trial.max_apart)} at most`, `drift ${f.figure(trial.drift)}`].filter(Boolean).join(" · "))];
}

// ====== Releases ======

// What it passed, or why not: a line for each.
function outcome(release) {
  if (f.has(release.outcome)) return release.outcome.split(/; (?=(?:smoke|shadow|canary): )/).map(line => h("div", null, f.visible(line)));
  return ["live", "retired", "rolled back"].includes(release.state) ? "nothing was asked of it" : "";
}

function releases(endpoint) {
  return h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": `Releases to ${endpoint.endpoint}` }, h("table", { class: "plain wide-cells stack" },
    h("caption", null, "Releases"),
    h("thead", null, h("tr", null, ["Deployment", "Model", "State", "Gate, smoke, trial", "When"].map((title, i) => h("th", { scope: "col", class: i === 0 ? "number" : null }, title)))),
    h("tbody", null, endpoint.releases.map(one => h("tr", null, h("td", { class: "number" }, one.deployment),
      h("td", null, f.visible(one.uri), f.has(one.alias) && one.state === "live" && h("span", { class: "tag" }, `@${f.visible(one.alias)}`)), h("td", null, state(STATES[one.state] || "queued", one.state)),
      h("td", null, outcome(one)), h("td", null, h("time", { datetime: new Date(one.updated).toISOString(), title: f.time(one.updated) }, f.ago(one.updated))))))));
}

async function rollBack(endpoint) {
  const live = endpoint.live, earlier = endpoint.releases.find(one => one.deployment === live.previous);
  const to = earlier ? earlier.uri : "the version before";
  if (!await confirm(`Roll back ${endpoint.endpoint}?`, `It answers with ${live.uri} now, and would answer with ${to} again. No request is dropped.`, "Roll back")) return;
  try {
    if (await change("POST", `endpoints/${part(endpoint.endpoint)}/rollback`, { who: "the page" })) toast(`${endpoint.endpoint} answers with ${to} again`);
  } catch (error) { toast(error.message, "bad"); }
}

// ====== A request to try ======

// A row a line.
function written(body) {
  const { columns, data } = body.dataframe_split;
  return `{"dataframe_split": {\n  "columns": ${JSON.stringify(columns)},\n  "data": [\n    ${data.map(row => JSON.stringify(row)).join(",\n    ")}]}}`;
}

function tryBox(endpoint) {
  const id = `try-${endpoint.endpoint}`, text = h("textarea", { id, rows: 6, spellcheck: "false" }), told = h("div", { role: "status" }), hint = h("span", { class: "faint" });
  const load = async () => {
    try {
      const example = await get(`endpoints/${part(endpoint.endpoint)}/example`);
      if (text.value === "") text.value = written(example.body);
      hint.textContent = example.logged ? "the input example that was logged with the model" : "the model was logged without an example: zeros";
    } catch (error) { fill(told, problem(error)); }
  };
  const send = async () => {
    try {
      const answer = await change("POST", `endpoints/${part(endpoint.endpoint)}/invocations`, JSON.parse(text.value));
      if (answer) fill(told, h("p", null, state(answer.status === 200 ? "succeeded" : "failed", `status ${answer.status}`), ` version ${f.plain(answer.version)}, ${answer.ms.toFixed(1)} ms from here`), h("pre", { class: "type", tabindex: "0" }, f.visible(answer.body)));
    } catch (error) { fill(told, problem(error)); }
  };
  const box = h("details", { class: "try" }, h("summary", null, "Send a test request"), h("label", { for: id }, "Body for /invocations, ", hint), text,
    h("div", { class: "buttons" }, h("button", { class: "primary", onclick: send }, "Send")), told);
  box.addEventListener("toggle", () => { if (box.open) load(); });
  return box;
}

class Endpoint {
  constructor(endpoint) {
    this.traffic = new Traffic();
    this.top = h("div");
    this.stats = h("div", { class: "stats" });
    this.releases = h("div");
    this.element = h("section", { class: "panel", "aria-label": endpoint.endpoint }, this.top, this.stats, this.releases, tryBox(endpoint));
  }

  show(endpoint) {
    const { live } = endpoint, t = this.traffic;
    t.take(endpoint, Date.now());
    const key = JSON.stringify([live, endpoint.releases, endpoint.trial, endpoint.served]);
    if (key !== this.key) {
      this.key = key;
      const cannot = live && f.has(live.previous) ? null : "there is no version before";
      fill(this.top, h("div", { class: "section-head" }, h("h2", null, f.visible(endpoint.endpoint)),
        live ? state("succeeded", `${f.visible(live.uri)} live`) : state("queued", "no model yet"),
        f.has(endpoint.url) && h("code", { class: "faint" }, endpoint.url),
        h("button", { disabled: Boolean(cannot), title: cannot, onclick: () => rollBack(endpoint) }, "Roll back")), share(endpoint));
      fill(this.releases, releases(endpoint));
    }
    fill(this.stats, stat("requests per second", f.has(t.rate) ? f.figure(Number(t.rate.toFixed(1))) : "–", t.spark()), stat("median", latency(t.p50)), stat("99 of 100", latency(t.p99)),
      stat("requests so far", f.number(t.total.requests)), stat("failed", f.number(t.total.failed)));
  }
}

export async function show(root, { signal }) {
  const known = new Map(), body = h("div"), top = h("div");
  let asking = false;
  fill(root, h("h1", null, "Models"), top, body);
  const look = async () => {
    if (asking || signal.aborted) return;
    asking = true;
    try {
      const told = await get("endpoints");
      if (signal.aborted) return;
      fill(top, !told.server && told.endpoints.length > 0 && h("p", { class: "note warn" }, "The model server does not run; ", h("code", null, "mlengine serve"), " starts it."));
      if (told.endpoints.length === 0) fill(body, empty("Nothing is deployed yet", "A job releases a model with deploy.release; the last job of the example does:", code("mlengine help serving")));
      for (const one of told.endpoints) {
        if (!known.has(one.endpoint)) {
          if (known.size === 0) fill(body);
          known.set(one.endpoint, new Endpoint(one));
          body.append(known.get(one.endpoint).element);
        }
        known.get(one.endpoint).show(one);
      }
    } catch (error) { fill(top, problem(error)); }
    asking = false;
  };
  await look();
  const timer = setInterval(() => { if (!document.hidden) look(); }, LOOK_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
  on("deployments", look, signal);
}
