// How numbers and times are said. Times are in the viewer's zone.

export const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const numbers = new Intl.NumberFormat();

export const has = value => value !== null && value !== undefined;
export const number = value => has(value) ? numbers.format(value) : "–";
export const plural = (count, what) => `${number(count)} ${what}${count === 1 ? "" : "s"}`;
export const time = ms => has(ms) ? full.format(ms) : "–";
export const minute = ms => has(ms) ? day.format(ms) : "–";

// Of a line of a log: only the clock.
export function logTime(iso) {
  const ms = Date.parse(iso);
  return Number.isNaN(ms) ? iso : clock.format(ms) + iso.slice(19, 23);
}

export function duration(ms) {
  if (!has(ms)) return "–";
  if (ms < 0) ms = 0;
  if (ms < 100) return `${Math.round(ms)} ms`;
  if (ms < 60000) return `${(ms / 1000).toFixed(1)} s`;
  const s = Math.floor(ms / 1000);
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
}

export function ago(ms) {
  const s = Math.round((Date.now() - ms) / 1000);
  if (s < -60) return until(ms);
  if (s < 60) return "just now";
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ago`;
  return day.format(ms);
}

export function until(ms) {
  const s = Math.round((ms - Date.now()) / 1000);
  if (s <= 0) return "now";
  if (s < 90) return `in ${s} s`;
  if (s < 5400) return `in ${Math.round(s / 60)} min`;
  return s < 172800 ? `in ${Math.round(s / 3600)} h` : `in ${Math.round(s / 86400)} days`;
}

export function bytes(count) {
  if (!has(count)) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (count >= 1024 && unit < units.length - 1) { count /= 1024; unit++; }
  return `${count >= 100 ? Math.round(count) : Number(count.toFixed(1))} ${units[unit]}`;
}

export function figure(value) {
  if (!has(value)) return "–";
  if (Number.isInteger(value)) return number(value);
  return Math.abs(value) >= 1e-3 && Math.abs(value) < 1e6 ? String(Number(value.toPrecision(5))) : value.toExponential(3);
}

export function profile(resources) {
  const parts = [];
  if (has(resources.cpu)) parts.push(`${resources.cpu} CPU`);
  if (has(resources.memory)) parts.push(bytes(resources.memory));
  if (has(resources.gpu)) parts.push(`${resources.gpu} GPU`);
  return parts.length > 0 ? parts.join(" · ") : "no profile";
}

// Control characters and marks that turn the direction of a line are shown, not obeyed.
export function visible(text) {
  return text.replace(/[\u0000-\u0008\u000b-\u001f]/g, c => String.fromCharCode(0x2400 + c.charCodeAt(0)))
    .replace(/[\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
}

export function plain(value) {
  if (!has(value)) return "–";
  return visible(typeof value === "object" ? JSON.stringify(value) : String(value));
}

// Whether a run goes on.
export const live = run => run.state === "starting" || run.state === "running" || run.state === "queued";
export const bad = run => ["failed", "timed-out", "stopped", "lost"].includes(run.state);
export const took = run => has(run.started || run.created) ? (run.ended || Date.now()) - run.created : null;

export const TRIGGERS = { api: "by hand", schedule: "schedule", snapshot: "new snapshot", terminal: "terminal" };

export function trigger(run) {
  const t = run.trigger;
  if (!t) return TRIGGERS.terminal;
  return t.source === "api" && t.who !== "the API" ? `by ${t.who}` : TRIGGERS[t.source] || t.source;
}
