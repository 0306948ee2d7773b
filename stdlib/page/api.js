// Asking mlengine up: requests, the token for changes, and what happens as it happens.

import { h } from "./dom.js";

const KEY = "mlengine.token";

// Snapshot ids have more digits than a JavaScript number: they stay texts.
export function parse(text) {
  return JSON.parse(text.replace(/"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g,
    found => /^-?\d{16,}$/.test(found) ? `"${found}"` : found));
}

export class Refused extends Error {
  constructor(status, message) { super(message); this.status = status; }
}

async function request(path, options) {
  let answer;
  try {
    answer = await fetch(path, { cache: "no-store", ...options });
  } catch {
    throw new Refused(0, "mlengine up does not answer; is it running? Start it with: mlengine up");
  }
  if (answer.ok) return answer;
  let message = `status ${answer.status}`;
  try { message = (await answer.json()).error || message; } catch { /* no JSON: the status must do */ }
  throw new Refused(answer.status, message);
}

export async function get(path) { return parse(await (await request("/api/v1/" + path)).text()); }
export async function raw(path) { return request("/api/v1/" + path); }
export const part = text => encodeURIComponent(text);

// ====== The token: kept for this tab, and only for this session ======

export const hasToken = () => sessionStorage.getItem(KEY) !== null;
const refused = { last: false };

function askToken() {
  return new Promise(resolve => {
    const input = h("input", { id: "token", type: "password", autocomplete: "off", spellcheck: "false", required: true, "aria-describedby": "token-help" });
    const box = h("dialog", { class: "dialog", "aria-labelledby": "token-title" },
      h("form", { method: "dialog", onsubmit: event => { event.preventDefault(); box.close(input.value.trim()); } },
        h("h2", { id: "token-title" }, "The token for changes"),
        refused.last && h("p", { class: "problem", role: "alert" }, "That was not this project's token."),
        h("p", { id: "token-help" }, "Whoever may read this project's files may change what runs. In its folder, type ",
          h("code", null, "cat .mlengine/up.token"), " and paste what it prints. It is kept until this tab is closed."),
        h("label", { for: "token" }, "Token"), input,
        h("div", { class: "buttons" },
          h("button", { type: "button", class: "quiet", onclick: () => box.close("") }, "Cancel"), h("button", { class: "primary" }, "Use it"))));
    box.addEventListener("close", () => { box.remove(); resolve(box.returnValue || null); });
    document.body.append(box);
    box.showModal();
  });
}

// A change; null when whoever was asked for the token gave none.
export async function change(method, path, body) {
  for (;;) {
    let token = sessionStorage.getItem(KEY);
    if (token === null) {
      token = await askToken();
      if (!token) return null;
    }
    const safe = /^\w+$/.test(token) ? token : "none";
    try {
      const answer = await request("/api/v1/" + path, {
        method, headers: { Authorization: "Bearer " + safe, "Content-Type": "application/json" }, body: body === undefined ? undefined : JSON.stringify(body),
      });
      sessionStorage.setItem(KEY, token);
      refused.last = false;
      return parse(await answer.text());
    } catch (error) {
      if (error.status !== 401) throw error;
      sessionStorage.removeItem(KEY);
      refused.last = true;
    }
  }
}

// ====== What happens ======

const bus = new EventTarget();

// Calls f with the data of each such event, until the view that listens is left.
export function on(kind, f, signal) { bus.addEventListener(kind, event => f(event.detail), { signal }); }
export function emit(kind, detail) { bus.dispatchEvent(new CustomEvent(kind, { detail })); }

export function follow() {
  const source = new EventSource("/api/v1/events");
  let before = false;
  for (const kind of ["run", "log", "triggers", "pipelines", "deployments", "server"])
    source.addEventListener(kind, event => emit(kind, parse(event.data)));
  source.addEventListener("hello", event => {
    emit("live", { live: true, hello: parse(event.data) });
    if (before) emit("refresh"); // what happened meanwhile was missed
    before = true;
  });
  source.addEventListener("refresh", () => emit("refresh")); // something too large to be told
  source.onerror = () => {
    emit("live", { live: false });
    if (source.readyState !== EventSource.CLOSED) return;
    source.close();
    setTimeout(follow, 3000);
  };
}
