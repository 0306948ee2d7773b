// Making elements. All that comes from elsewhere becomes a text node or a plain attribute, never markup.

const SVG = "http://www.w3.org/2000/svg";

function put(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (name === "class") element.setAttribute("class", value);
  else if (name === "value" || name === "checked") element[name] = value;
  else element.setAttribute(name, value === true ? "" : String(value));
}

function add(element, child) {
  if (child === null || child === undefined || child === false) return;
  if (Array.isArray(child)) for (const one of child) add(element, one);
  else element.append(child instanceof Node ? child : document.createTextNode(String(child)));
}

export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const name in props || {}) put(element, name, props[name]);
  add(element, children);
  return element;
}

export function svg(tag, props, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const name in props || {}) put(element, name, props[name]);
  add(element, children);
  return element;
}

// Replaces what an element holds.
export function fill(element, ...children) {
  element.replaceChildren();
  add(element, children);
  return element;
}

// Only an address of this page, or a web page: what else a text may be, it is no link.
export function link(href, text, props) {
  const safe = /^(#\/|https?:\/\/)/.test(href);
  const outside = href.startsWith("http");
  return safe ? h("a", { href, rel: outside ? "noreferrer noopener" : null, target: outside ? "_blank" : null, ...props }, text) : h("span", props, text);
}

const SHAPES = {
  succeeded: "M3.5 8.5 6.5 11.5 12.5 4.5", failed: "M4.5 4.5 11.5 11.5M11.5 4.5 4.5 11.5", "timed-out": "M8 4V8.2L10.8 10", stopped: "M5 5H11V11H5Z",
  skipped: "M4 4.5 8 8 4 11.5M9 4.5V11.5", lost: "M6 6a2 2 0 1 1 2.6 2c-.5.3-.6.6-.6 1.2M8 11.6v.1", running: "M8 3a5 5 0 1 1-4.6 3", starting: "M8 3a5 5 0 1 1-4.6 3",
  queued: "M4.5 8H4.6M8 8H8.1M11.4 8H11.5",
};

// A state is a shape and a word, and only then a colour.
export function state(name, text) {
  const shape = SHAPES[name] || SHAPES.queued;
  return h("span", { class: "state s-" + (SHAPES[name] ? name : "none") },
    svg("svg", { viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" }, svg("circle", { cx: 8, cy: 8, r: 8, class: "disc" }), svg("path", { d: shape })),
    h("span", null, text === undefined ? name : text));
}

export function empty(title, ...lines) {
  return h("div", { class: "empty" }, h("h2", null, title), lines.map(line => line instanceof Node ? line : h("p", null, line)));
}

export function code(text) { return h("pre", { class: "type", tabindex: "0" }, h("code", null, text)); }

export function problem(error) {
  return h("div", { class: "problem", role: "alert" }, h("strong", null, "That did not work. "), String(error && error.message || error));
}

let toasts = 0;
export function toast(text, kind) {
  const box = h("div", { class: "toast " + (kind || "") }, text);
  document.getElementById("toasts").append(box);
  if (++toasts > 4) document.getElementById("toasts").firstChild.remove();
  setTimeout(() => { if (box.isConnected) { box.remove(); toasts--; } }, 6000);
}
