// The dashboard: follows the plane's feed and shows it. Whatever comes from the plane is set as text, never as markup.

import { again, el, frame, main, named, number, rate, show, state, when } from "./elements.js";
import { list } from "./list.js";
import { duration, history, legend, patterns } from "./pictures.js";

const KEY = "anyservice-key"; // the half of a session that only pages of this address can read; see sessions.py
const ROLES = { primary: "primary", canary: "canary", leaving: "on its way out" };
const serviceId = decodeURIComponent(location.pathname.match(/^\/services\/([^/]+)/)?.[1] ?? "") || null;

// ── one service ──

function detail(service) {
  frame("title", "picture", "versions", "checklist", "events");
  document.title = `${service.name} · anyservice`;
  const { id, name, query_url, error_message, rollout, can, tags } = service;
  show("title", { id, name, query_url, error_message, rollout, can, tags, state: service.state }, () => head(service));
  show("picture", service.history, () => [el("h2", { id: "picture-title" }, "Traffic"), ...history(service)]);
  show("versions", service.versions, () => versions(service));
  show("checklist", service.checklist, () => checks(service.checklist));
  show("events", service.events, () => events(service.events));
}

function head(service) {
  const { rollout } = service;
  const tags = Object.entries(service.tags).map(([key, value]) => el("li", {}, named(`${key}: ${value}`)));
  return [
    el("nav", { "aria-label": "Way back" }, el("a", { id: "all", href: "/" }, "‹ All services")),
    el("h1", {}, named(service.name)),
    el("p", {}, state(service.state), rollout ? ` ${course(service)}` : ""),
    el("p", { class: "faint" }, el("code", {}, service.query_url), ` · ${service.id}`),
    tags.length ? el("ul", { class: "tags", "aria-label": "Tags" }, tags) : null,
    service.error_message ? el("p", { class: "fault" }, el("strong", {}, "Error: "), service.error_message) : null,
    buttons(service),
  ].filter(Boolean);
}

const course = ({ state: now, rollout }) =>
  now === "ROLLING_BACK" ? "in steps" : `${rollout.automatic ? "climbing by itself" : "held"} at ${rollout.percent} %`;

function buttons(service) {
  const canary = service.versions.find((v) => v.role === "canary");
  const primary = service.versions.find((v) => v.role === "primary");
  const back = el("button", { id: "rollback" }, "Roll back…");
  back.addEventListener("click", () => ask(service, "rollback", `Roll ${service.name} back?`,
    `Version ${primary?.name} gets all of the traffic again; ${canary?.name} ends once its requests have been answered.`, "Roll back"));
  const end = el("button", { id: "terminate", class: "danger" }, "Terminate…");
  end.addEventListener("click", () => ask(service, "terminate", `Terminate ${service.name}?`,
    `All of its versions end once their requests have been answered, and ${service.query_url} answers no more.`, "Terminate"));
  return el("div", { class: "buttons" }, service.can.rollback ? back : null, service.can.terminate ? end : null);
}

const COLUMNS = {
  Version: (v, service) => el("span", {}, legend(service, [v], false), el("span", { class: "faint" }, ` ${ROLES[v.role]}`)),
  Since: (v) => when(v.created_at),
  State: (v) => state(v.state),
  Weight: (v) => el("span", {}, `${v.weight} %`, v.capacity < 100 ? el("span", { class: "faint" }, ` with ${v.capacity} % of its capacity`) : ""),
  Requests: (v) => rate(v.rps),
  Errors: (v) => (v.error_rps ? el("span", { class: "bad" }, `⚠ ${rate(v.error_rps)}`) : rate(v.error_rps)),
  "Requests in all": (v) => number.format(v.requests),
  "Errors in all": (v) => `${number.format(v.errors)}${v.requests ? ` (${number.format((100 * v.errors) / v.requests)} %)` : ""}`,
  "Half within": (v) => latency(v.latency_ms.p50),
  "95 % within": (v) => latency(v.latency_ms.p95),
};
const latency = (ms) => (ms === null ? "–" : duration(ms));

function versions({ id, versions: found }) {
  const columns = Object.entries(COLUMNS);
  const rows = found.map((v) => [
    el("tr", {}, columns.map(([label, cell], n) => el(n ? "td" : "th", { "data-label": label, scope: n ? null : "row" }, cell(v, id)))),
    v.message ? el("tr", { class: "why" }, el("td", { colspan: columns.length, class: "fault" }, named(v.name), `: ${v.message}`)) : null,
  ]);
  return [
    el("h2", {}, "Versions"),
    el("table", {},
      el("thead", {}, el("tr", {}, columns.map(([label]) => el("th", { scope: "col" }, label)))),
      el("tbody", {}, rows.flat())),
  ];
}

function checks(items) {
  const shownItems = items.map((item) =>
    el("li", {}, state(item.state), " ", item.of ? named(`${item.of}: `) : null, item.label,
      item.message ? el("span", { class: "faint" }, ` – ${item.message}`) : null));
  return [el("h2", {}, "Checklist"), shownItems.length ? el("ul", {}, shownItems) : el("p", {}, "It has ended; nothing is looked after.")];
}

function events(found) {
  return [
    el("h2", {}, "Events"),
    el("ol", {}, found.map((event) => el("li", {}, when(event.at), " ",
      el("span", {}, event.message.startsWith(event.kind) ? null : el("span", { class: "kind" }, event.kind), " ", named(event.message))))),
  ];
}

// ── changes ──

const dialog = document.getElementById("ask");
let wanted = null;

function ask(service, change, title, text, yes) {
  wanted = { service, change };
  document.getElementById("ask-title").textContent = title;
  document.getElementById("ask-text").textContent = text;
  document.getElementById("ask-yes").textContent = yes;
  document.getElementById("ask-error").hidden = true;
  dialog.showModal();
}

document.getElementById("ask-no").addEventListener("click", () => dialog.close());
document.getElementById("ask-yes").addEventListener("click", async (event) => {
  event.target.disabled = true;
  const fault = await change(wanted).catch(() => "The plane does not answer.");
  event.target.disabled = false;
  if (!fault) return dialog.close();
  document.getElementById("ask-error").textContent = fault;
  document.getElementById("ask-error").hidden = false;
});

async function change({ service, change: what }) {
  const answer = await call("POST", `/dashboard/services/${encodeURIComponent(service.id)}/${what}`);
  return answer.ok ? "" : await reason(answer);
}

// ── the plane ──

const call = (method, path, body) =>
  fetch(path, {
    method,
    headers: { "X-Anyservice-Key": localStorage.getItem(KEY) ?? "", ...(body ? { "Content-Type": "application/json" } : {}) },
    body: body && JSON.stringify(body),
  });

async function reason(answer) {
  const error = (await answer.json().catch(() => ({}))).error ?? {};
  return error.message ?? (typeof error.detail === "string" ? error.detail : `The plane answered ${answer.status}.`);
}

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
let latest = null;

async function follow() {
  for (;;) {
    const answer = await call("GET", `/dashboard/feed${serviceId ? `?service=${encodeURIComponent(serviceId)}` : ""}`).catch(() => null);
    if (answer?.status === 401) return login("");
    if (answer?.status === 404) return gone(await reason(answer));
    if (answer?.ok) {
      link("live");
      if ((await take(answer.body)) === "gone") return gone("The service was deleted.");
    }
    link("the plane does not answer; trying again", "lost");
    await sleep(1000);
  }
}

/** Read server-sent events as they come; EventSource could not send the key. */
async function take(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return "";
      const parts = (rest + value).split("\n\n");
      rest = parts.pop();
      for (const part of parts) {
        if (part.startsWith("event: gone")) return "gone";
        if (part.startsWith("data: ")) render(JSON.parse(part.slice(6)));
      }
    }
  } catch {
    return "";
  }
}

function render(now) {
  document.getElementById("logout").hidden = false;
  say(now);
  latest = now;
  (serviceId ? detail : list)(now);
}

/** Tell who listens rather than looks which services came into another state. */
function say(now) {
  const states = (one) => new Map((one?.services ?? (one ? [one] : [])).map((s) => [s.id, s]));
  const before = states(latest);
  const news = [...states(now).values()].filter((s) => before.has(s.id) && before.get(s.id).state !== s.state);
  if (news.length) document.getElementById("said").textContent = news.map((s) => `${s.name} is ${s.state}`).join(", ");
}

/** Say how the page stands with the plane: what it shows while that is lost is how it was. */
function link(text, how = text) {
  const place = document.getElementById("link");
  document.body.dataset.link = how;
  if (place.textContent !== text) place.textContent = text;
}

function gone(why) {
  frame("title");
  link("");
  main.firstChild.replaceChildren(el("h1", {}, "No such service"), el("p", {}, why), el("p", {}, el("a", { href: "/" }, "All services")));
}

// ── logging in and out ──

/** Where official clients send who shows a wrong token: it tells how to get the right one, and not the token. */
function credentials() {
  frame("title");
  document.title = "Credentials · anyservice";
  main.firstChild.replaceChildren(
    el("h1", {}, "Credentials"),
    el("p", {}, "Tools find this plane by ", el("code", {}, "ANYSCALE_HOST"), " and ", el("code", {}, "ANYSCALE_CLI_TOKEN"),
      ". On its machine, this sets both in a shell:"),
    el("pre", {}, el("code", {}, 'eval "$(anyservice plane env)"')),
    el("p", {}, el("a", { href: "/" }, "All services")),
  );
}

function login(fault) {
  frame("title");
  link("");
  document.getElementById("logout").hidden = true;
  const token = el("input", { id: "token", type: "password", autocomplete: "off", required: true });
  const form = el("form", {}, el("label", { for: "token" }, "or paste the plane's token"), token, el("button", {}, "Log in"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    enter({ token: token.value });
  });
  main.firstChild.replaceChildren(
    el("h1", {}, "Log in"),
    el("p", {}, "Open the link that ", el("code", {}, "anyservice plane dashboard"), " prints,"),
    form,
    ...(fault ? [el("p", { class: "fault", role: "alert" }, fault)] : []),
  );
}

async function enter(shown) {
  const answer = await call("POST", "/dashboard/session", shown).catch(() => null);
  if (!answer?.ok) return login(answer ? await reason(answer) : "The plane does not answer.");
  localStorage.setItem(KEY, (await answer.json()).key);
  return follow();
}

document.getElementById("logout").addEventListener("click", async () => {
  await call("DELETE", "/dashboard/session").catch(() => null);
  localStorage.removeItem(KEY);
  location.assign("/");
});

let redraw = 0;
window.addEventListener("resize", () => {
  cancelAnimationFrame(redraw);
  redraw = requestAnimationFrame(() => {
    again("picture");
    if (latest && serviceId) detail(latest);
  });
});

document.body.append(patterns());
const code = new URLSearchParams(location.hash.slice(1)).get("code");
if (code || location.pathname === "/login") {
  window.history.replaceState(null, "", location.pathname === "/login" ? "/" : location.pathname);
}
if (location.pathname === "/v2/api-keys") credentials();
else if (code) enter({ code });
else follow();
