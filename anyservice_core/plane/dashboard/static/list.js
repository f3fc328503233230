// The page of all services: what needs a look first, and a filter once there are many.

import { el, frame, named, rate, show, state, sum } from "./elements.js";
import { bar, legend } from "./pictures.js";

const GROUPS = [
  ["Needs a look", ["UNHEALTHY", "SYSTEM_FAILURE"]],
  ["On the move", ["ROLLING_OUT", "ROLLING_BACK", "STARTING", "UPDATING", "TERMINATING"]],
  ["Running", ["RUNNING"]],
  ["Ended", ["TERMINATED"]],
];
const FEW = 6; // so many need no filter
let filter = "";
let latest = null;

export function list(now) {
  const { services, total } = now;
  latest = now;
  frame("title", "filter", "services");
  show("title", total, () => el("h1", {}, "Services"));
  show("filter", services.length > FEW, (many) => (many ? search() : []));
  const found = services.filter(fits);
  show("services", { found, filter, total }, () => {
    if (!services.length) return el("p", {}, "No services yet. ", el("code", {}, "anyservice deploy"), " makes one.");
    const rest = total - services.length;
    const groups = GROUPS.map(([title, states]) => [title, found.filter((one) => states.includes(one.state))]);
    return [
      ...(services.length > FEW ? groups.map(([title, ones]) => group(title, ones)) : [cards(groups.flatMap(([, ones]) => ones))]),
      found.length ? null : el("p", {}, "None of them is like that."),
      rest > 0 ? el("p", {}, `${rest} more are not shown; `, el("code", {}, "anyservice list"), " has them all.") : null,
    ].filter(Boolean);
  });
}

function search() {
  const field = el("input", { id: "wanted", type: "search", placeholder: "name, version, state or tag", "aria-controls": "services" });
  field.value = filter;
  field.addEventListener("input", () => {
    filter = field.value;
    list(latest);
  });
  return el("div", { class: "search" }, el("label", { for: "wanted" }, "Show only"), field);
}

/** Whether every word of the filter is in something that the service is called. */
function fits(service) {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const tags = Object.entries(service.tags).map(([key, value]) => `${key}:${value}`);
  const text = [service.name, service.state, ...service.versions.map((v) => v.name), ...tags].join(" ").toLowerCase();
  return words.every((word) => text.includes(word));
}

function group(title, services) {
  if (!services.length) return null;
  return el("section", {}, el("h2", {}, `${title} (${services.length})`), cards(services));
}

const cards = (services) => el("ul", {}, services.map((service) => el("li", {}, card(service))));

function card(service) {
  const serving = service.versions.filter((v) => v.state !== "TERMINATED");
  const link = el("a", { id: `go-${service.id}`, title: service.name, href: `/services/${encodeURIComponent(service.id)}` }, named(service.name));
  const errors = sum(serving, "error_rps");
  return el(
    "article", {},
    el("div", { class: "top" }, el("h3", {}, link), state(service.state)),
    ...(serving.length ? [bar(service.id, serving)] : []),
    serving.length ? el("div", { class: "foot" }, legend(service.id, serving), el("p", { class: "figures" }, rate(sum(serving, "rps")), " requests, ",
      el("span", { class: errors ? "bad" : "" }, `${errors ? "⚠ " : ""}${rate(errors)} errors`))) : null,
    service.error_message ? el("p", { class: "fault" }, gist(service.error_message)) : null,
  );
}

/** Of a traceback the line that says what went wrong. */
const gist = (text) => (text.startsWith("Traceback") ? text.trim().split("\n").at(-1) : text);
