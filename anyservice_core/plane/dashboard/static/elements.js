// What pages are made of. Text is set as text, never as markup.

const ICONS = {
  RUNNING: "✓", ROLLING_OUT: "↗", ROLLING_BACK: "↩", STARTING: "…", UPDATING: "…", UNHEALTHY: "!",
  SYSTEM_FAILURE: "✕", TERMINATING: "…", TERMINATED: "■",
};
const MOODS = { RUNNING: "good", UNHEALTHY: "bad", SYSTEM_FAILURE: "bad", TERMINATED: "ended" };
export const main = document.getElementById("main");
export const number = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
const clock = new Intl.DateTimeFormat([], { dateStyle: "short", timeStyle: "medium" });

/** Give an element; children are elements or text, attributes that are null are left out. */
export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

/** A name of the users' own: it may be long, of any script, and must not turn its surroundings round. */
export const named = (text) => el("bdi", {}, text);
export const when = (seconds) =>
  el("time", { datetime: new Date(seconds * 1000).toISOString() }, clock.format(seconds * 1000));
export const state = (text) =>
  el("span", { class: `state ${MOODS[text] ?? "busy"}` }, el("span", { "aria-hidden": "true" }, ICONS[text] ?? "?"), ` ${text}`);
export const rate = (value) => (value === null ? "–" : `${number.format(value)}/s`);
export const sum = (versions, key) =>
  versions.some((v) => v[key] !== null) ? versions.reduce((all, v) => all + (v[key] ?? 0), 0) : null;

const shown = new Map();

/** Show this in its part of the page, unless it is there already; who was on something in it stays on it. */
export function show(part, content, make) {
  const text = JSON.stringify(content);
  const place = document.getElementById(part);
  if (shown.get(part) === text && place.hasChildNodes()) return;
  shown.set(part, text);
  const focused = place.contains(document.activeElement) ? document.activeElement.id : "";
  place.replaceChildren(...[make(content)].flat());
  if (focused) (document.getElementById(focused) ?? main).focus();
}

export function frame(...parts) {
  if (main.dataset.parts === parts.join()) return;
  main.dataset.parts = parts.join();
  main.replaceChildren(...parts.map((id) => el("section", { id, class: `part ${id}` })));
  shown.clear();
}

/** Show this part anew, even if what is in it is the same. */
export const again = (part) => shown.delete(part);
