// The page's frame: which view is shown, whether what it shows is live.

import { emit, follow, get, on } from "./api.js";
import { fill, h, problem } from "./dom.js";
import { zone } from "./format.js";
import * as notify from "./notify.js";
import * as jobs from "./jobs.js";
import * as history from "./history.js";
import * as run from "./run.js";
import * as compare from "./compare.js";
import * as models from "./models.js";
import * as tables from "./tables.js";

const VIEWS = [
  { path: /^\/(?:jobs)?$/, name: "Jobs", view: jobs },
  { path: /^\/history$/, name: "Job History", view: history },
  { path: /^\/runs\/(\d+)$/, name: "Job History", view: run },
  { path: /^\/compare\/(\d+)\/(\d+)$/, name: "Job History", view: compare },
  { path: /^\/models$/, name: "Models", view: models },
  { path: /^\/tables$/, name: "Tables", view: tables },
  { path: /^\/tables\/(.+)$/, name: "Tables", view: tables },
];
const LINKS = [["Jobs", "#/jobs"], ["Job History", "#/history"], ["Models", "#/models"], ["Tables", "#/tables"]];

const main = document.getElementById("main");
let leaving = null;

function decode(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

function route() {
  const [path, query] = (location.hash.slice(1) || "/jobs").split("?");
  for (const one of VIEWS) {
    const found = path.match(one.path);
    if (found) return { ...one, args: found.slice(1).map(decode), query: new URLSearchParams(query || "") };
  }
  return { name: "Jobs", view: jobs, args: [], query: new URLSearchParams() };
}

function showNav(current) {
  fill(document.getElementById("nav"), LINKS.map(([name, href]) => h("a", { href, "aria-current": name === current ? "page" : null }, name)));
}

async function show(focus) {
  if (location.hash === "#main") return;
  if (leaving) leaving.abort();
  leaving = new AbortController();
  const signal = leaving.signal, at = route();
  showNav(at.name);
  document.title = `${at.name} · mlengine`;
  const root = h("div", { class: "view" });
  fill(main, root);
  if (focus) main.focus({ preventScroll: true });
  window.scrollTo(0, 0);
  try {
    await at.view.show(root, { args: at.args, query: at.query, signal });
  } catch (error) {
    if (!signal.aborted) fill(root, h("h1", null, at.name), problem(error), h("p", null, h("button", { onclick: () => show() }, "Try again")));
  }
}

function showStatus() {
  const word = h("span", null, "connecting"), dot = h("span", { class: "live-dot", "aria-hidden": "true" });
  const place = h("span", { class: "live", role: "status" }, dot, word);
  fill(document.getElementById("status"), place, notify.button());
  on("live", told => {
    place.classList.toggle("is-live", told.live);
    word.textContent = told.live ? "live" : "reconnecting";
  });
}

async function showFoot() {
  const foot = document.getElementById("foot");
  try {
    const about = await get("");
    fill(foot, h("span", null, about.project), h("span", null, `mlengine ${about.version}`), h("span", null, `model server: ${about.model_server}`),
      h("span", null, `times in ${zone}`), h("a", { href: "/api/v1/openapi.json" }, "API"));
  } catch { fill(foot, h("span", null, `times in ${zone}`)); }
}

window.addEventListener("hashchange", () => show(true));
on("server", showFoot);
on("refresh", showFoot);
showStatus();
showFoot();
show();
follow();
notify.watch();
setInterval(() => emit("second"), 1000);
