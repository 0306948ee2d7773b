// Notifications of the browser: a run that ended while one looked elsewhere.

import { on } from "./api.js";
import { h, toast } from "./dom.js";
import { bad, duration, live, took, visible } from "./format.js";

const KEY = "mlengine.notify";
const possible = "Notification" in window;
const wanted = () => possible && Notification.permission === "granted" && localStorage.getItem(KEY) === "on";

export function button() {
  const bell = h("button", { class: "quiet bell", type: "button" });
  const say = () => {
    bell.textContent = wanted() ? "Notifications on" : "Notify me";
    bell.setAttribute("aria-pressed", String(wanted()));
  };
  bell.addEventListener("click", async () => {
    if (!possible) return toast("This browser has no notifications.");
    if (wanted()) localStorage.setItem(KEY, "off");
    else if (await Notification.requestPermission() === "granted") localStorage.setItem(KEY, "on");
    else toast("The browser does not allow notifications of this page.");
    say();
  });
  say();
  return bell;
}

// ====== For who hears the page: what changed, one sentence a second ======

const heard = new Map();
let changes = [];

function hear(run) {
  if (heard.get(run.run) === run.state) return;
  heard.set(run.run, run.state);
  if (heard.size > 1000) heard.delete(heard.keys().next().value);
  changes.push(`${visible(run.job)} ${run.state}`);
}

function tell() {
  if (changes.length === 0) return;
  document.getElementById("said").textContent = changes.length > 3 ? `${changes.length} runs changed, the last: ${changes.pop()}` : changes.join(", ");
  changes = [];
}

const going = new Set();

export function watch() {
  on("second", tell);
  on("run", run => {
    hear(run);
    if (live(run)) return void going.add(run.run);
    if (!going.delete(run.run)) return;
    const text = `${run.job} ${run.state} in ${duration(took(run))}`;
    if (bad(run)) toast(`Run ${run.run}: ${text}`, "bad");
    if (!wanted() || !document.hidden) return;
    const note = new Notification(text, { body: run.reason || run.pipeline || "", tag: `mlengine-${run.run}` });
    note.onclick = () => { window.focus(); location.hash = `#/runs/${run.run}`; };
  });
}
