// Starting a job: a form of what its script declares with job.params, and of those that follow it.

import { change, part } from "./api.js";
import { h, problem, toast } from "./dom.js";
import { has } from "./format.js";

function field(id, spec, given, was) {
  const fallback = has(given) ? given : spec.default, value = has(was) && was !== fallback ? String(was) : "";
  if (spec.type === "boolean" || spec.enum) {
    const choices = spec.enum || [true, false];
    const box = h("select", { id }, h("option", { value: "" }, `default: ${has(fallback) ? fallback : "none"}`), choices.map(one => h("option", { value: String(one) }, String(one))));
    box.value = value;
    return box;
  }
  const isNumber = spec.type === "integer" || spec.type === "number";
  return h("input", { id, type: isNumber ? "number" : "text", step: spec.type === "integer" ? "1" : "any", min: spec.min, max: spec.max,
    placeholder: has(fallback) ? String(fallback) : "none", value, autocomplete: "off" });
}

function bounds(spec) {
  const words = [spec.type];
  if (has(spec.min)) words.push(`at least ${spec.min}`);
  if (has(spec.max)) words.push(`at most ${spec.max}`);
  return words.join(", ");
}

const convert = (spec, text) => spec.type === "integer" || spec.type === "number" ? Number(text) : spec.type === "boolean" ? text === "true" : text;

function group(one, fields, index, was) {
  if (one.error) return h("p", { class: "problem" }, one.error);
  if (one.params === null) return h("p", { class: "faint" }, `${one.job} works out its parameters while it runs; use mlengine trigger -p for them.`);
  if (one.params.length === 0) return null;
  return h("fieldset", null, h("legend", null, one.job), one.params.map((spec, i) => {
    const id = `p-${index}-${i}`, input = field(id, spec, one.given && one.given[spec.name], was && was[spec.name]);
    fields.push({ name: `${one.job}.${spec.name}`, spec, input });
    input.setAttribute("aria-describedby", id + "-help");
    return h("div", { class: "field" }, h("label", { for: id }, spec.name), input,
      h("small", { id: id + "-help" }, [spec.help, bounds(spec)].filter(Boolean).join(" · ")));
  }));
}

// Opens the form for a job (as GET /pipelines/P/jobs/J gives it), or for a whole pipeline; `was`: what the job got before.
export function start(pipeline, job, groups, was) {
  const fields = [], told = h("div"), what = job || pipeline;
  const path = job ? `pipelines/${part(pipeline)}/jobs/${part(job)}/trigger` : `pipelines/${part(pipeline)}/trigger`;
  const send = async event => {
    event.preventDefault();
    const params = {};
    for (const one of fields) if (one.input.value !== "") params[one.name] = convert(one.spec, one.input.value);
    go.disabled = true;
    try {
      const trigger = await change("POST", path, { params, who: "the page" });
      if (trigger) {
        box.close();
        toast(`${what} was started (trigger ${trigger.trigger})`);
      }
    } catch (error) { told.replaceChildren(problem(error)); }
    go.disabled = false;
  };
  const go = h("button", { class: "primary" }, "Run");
  const groupsShown = groups.map((one, index) => group(one, fields, index, one.job === job ? was : null));
  const box = h("dialog", { class: "dialog", "aria-labelledby": "start-title" }, h("form", { onsubmit: send },
    h("h2", { id: "start-title" }, `Run ${what}`),
    h("p", { class: "faint" }, groups.length > 1 ? `Then, each when the one before succeeded: ${groups.slice(1).map(g => g.job).join(", ")}.` : "No other job follows it."),
    groupsShown, fields.length > 0 && h("p", { class: "faint" }, "A field left empty takes its default."), told,
    h("div", { class: "buttons" }, h("button", { type: "button", class: "quiet", onclick: () => box.close() }, "Cancel"), go)));
  box.addEventListener("close", () => box.remove());
  document.body.append(box);
  box.showModal();
}

// A question before what cannot be taken back.
export function confirm(title, text, verb) {
  return new Promise(resolve => {
    const box = h("dialog", { class: "dialog", "aria-labelledby": "confirm-title" },
      h("form", { method: "dialog" }, h("h2", { id: "confirm-title" }, title), h("p", null, text),
        h("div", { class: "buttons" }, h("button", { class: "quiet", value: "" }, "Cancel"), h("button", { class: "primary", value: "yes" }, verb))));
    box.addEventListener("close", () => { box.remove(); resolve(box.returnValue === "yes"); });
    document.body.append(box);
    box.showModal();
  });
}

// Stop, Retry and Resume of a run.
export async function act(run, verb) {
  try {
    if (await change("POST", `runs/${run}/${verb}`, { who: "the page" })) toast(`Run ${run}: asked to ${verb}`);
  } catch (error) { toast(error.message, "bad"); }
}
