// Pictures of weights and traffic, as SVG. Each version has a colour and a pattern, so that neither is needed alone.

const SVG = "http://www.w3.org/2000/svg";
const LOOKS = 4;
const known = new Map();

/** The look of a service's version, the same for as long as the page is open; the oldest has the first. */
function look(service, id) {
  if (!known.has(service)) known.set(service, new Map());
  const looks = known.get(service);
  if (!looks.has(id)) looks.set(id, looks.size % LOOKS);
  return looks.get(id);
}

function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.flat());
  return made;
}

function html(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.flat());
  return made;
}

/** The patterns that all pictures fill with. */
export function patterns() {
  const marks = [
    [],
    [svg("path", { d: "M-2 2l4-4M0 8l8-8M6 10l4-4", class: "mark" })],
    [svg("circle", { cx: 4, cy: 4, r: 1.6, class: "dot" })],
    [svg("path", { d: "M0 4h8M4 0v8", class: "mark" })],
  ];
  const made = marks.map((mark, n) =>
    svg("pattern", { id: `look-${n}`, width: 8, height: 8, patternUnits: "userSpaceOnUse" },
      svg("rect", { width: 8, height: 8, class: `look-${n}` }), mark));
  return svg("svg", { class: "unseen", width: 0, height: 0, "aria-hidden": "true" }, svg("defs", {}, made));
}

const byAge = (versions) => [...versions].sort((a, b) => a.created_at - b.created_at || (a.id < b.id ? -1 : 1));

/** The weights that hold now, as a bar. */
export function bar(service, versions) {
  const sorted = byAge(versions);
  const label = sorted.map((v) => `${v.name} ${v.weight} %`).join(", ");
  const made = svg("svg", { class: "bar", role: "img", "aria-label": `Weights: ${label}`, width: "100%", height: 16 });
  let from = 0;
  for (const version of sorted) {
    made.append(svg("rect", { x: `${from}%`, width: `${version.weight}%`, height: 16, fill: `url(#look-${look(service, version.id)})` }));
    if (from > 0 && version.weight > 0) made.append(svg("rect", { x: `${from}%`, width: 2, height: 16, class: "gap" }));
    from += version.weight;
  }
  return made;
}

/** Which look is which version's. */
export function legend(service, versions, weights = true) {
  const items = byAge(versions).map((v) =>
    html("span", { class: "entry" },
      svg("svg", { class: "swatch", width: 14, height: 14, "aria-hidden": "true" }, svg("rect", { width: 14, height: 14, fill: `url(#look-${look(service, v.id)})` })),
      html("bdi", {}, v.name), ...(weights && v.weight !== undefined ? [html("span", { class: "weight" }, `${v.weight} %`)] : [])));
  return html("span", { class: "legend" }, items);
}

// ── over time ──

const LEFT = 52;
const RIGHT = 8;
const BOTTOM = 22;
const LEAST_S = 60;
const STEPS_S = [10, 15, 30, 60, 120, 300];
const minutes = new Intl.DateTimeFormat([], { timeStyle: "short" });
const time = new Intl.DateTimeFormat([], { timeStyle: "medium" });
const short = new Intl.NumberFormat("en", { maximumFractionDigits: 1, notation: "compact" });
const exact = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
const FIGURES = [
  ["Requests a second", 1, (value) => short.format(value), (value) => `${exact.format(value)}/s`],
  ["Errors a second", 2, (value) => short.format(value), (value) => `${exact.format(value)} errors/s`],
  ["95 % of the answers began within", 3, duration, duration],
];
let pointed = null;

/** Give milliseconds as text. */
export function duration(ms) {
  return ms < 1000 ? `${exact.format(ms)} ms` : `${exact.format(ms / 1000)} s`;
}

/** Give the pictures of one service's last quarter of an hour. */
export function history(service) {
  const points = service.history;
  if (points.length < 2) return [bar(service.id, service.versions), legend(service.id, service.versions), html("p", { class: "faint" }, "A picture over time needs a few seconds.")];
  const width = Math.max(240, room(document.getElementById("picture")));
  const end = points.at(-1).at;
  const start = Math.min(points[0].at, end - LEAST_S);
  const x = (at) => LEFT + ((at - start) / (end - start)) * (width - LEFT - RIGHT);
  const ids = Object.keys(service.names);
  const entries = ids.map((id, n) => ({ id, name: service.names[id], created_at: n, ...current(service, id) }));
  const plot = { service, points, x, width, start, end, ids };
  const readout = html("p", { class: "readout", "aria-hidden": "true" });
  const plots = [weights(plot), ...FIGURES.map((figure) => lines(plot, figure))];
  follow(plot, plots, readout);
  return [
    bar(service.id, service.versions),
    html("div", { class: "above" }, legend(service.id, entries), readout),
    html("div", { class: "plots" }, ["Weights", ...FIGURES.map(([label]) => label)].map((label, n) => html("figure", {}, html("figcaption", {}, label), plots[n]))),
  ];
}

/** How wide a picture in there may be. */
function room(place) {
  const style = getComputedStyle(place);
  const inner = Math.floor(place.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight));
  return inner > 760 ? Math.floor((inner - 24) / 2) : inner;
}

function current(service, id) {
  const version = service.versions.find((v) => v.id === id);
  return { weight: version ? version.weight : 0 };
}

/** The area between two heights, of which each holds until the next moment. */
function area(points, x, low, high) {
  const top = [];
  const bottom = [];
  points.forEach((point, n) => {
    const until = points[Math.min(n + 1, points.length - 1)].at;
    top.push(`${x(point.at)},${high(point)}`, `${x(until)},${high(point)}`);
    bottom.push(`${x(point.at)},${low(point)}`, `${x(until)},${low(point)}`);
  });
  return [...top, ...bottom.reverse()].join(" ");
}

function weights({ service, points, x, width, start, end, ids }) {
  const { made, y } = canvas(width, 100, ids, (id) => `${current(service, id).weight} %`, "Weights", service);
  const upTo = (point, n) => ids.slice(0, n).reduce((all, id) => all + (point.versions[id]?.[0] ?? 0), 0);
  ids.forEach((id, n) => {
    made.append(svg("polygon", {
      points: area(points, x, (p) => y(upTo(p, n)), (p) => y(upTo(p, n + 1))), fill: `url(#look-${look(service.id, id)})`, class: "area",
    }));
  });
  axis(made, width, y, [0, 50, 100], (value) => `${value} %`);
  times(made, x, width, start, end);
  return made;
}

function lines({ service, points, x, width, start, end, ids }, [label, column, tick, say]) {
  const values = points.flatMap((p) => Object.values(p.versions).map((v) => v[column])).filter((value) => value != null);
  const most = round(Math.max(0, ...values));
  const last = points.at(-1);
  const now = (id) => (last.versions[id]?.[column] != null ? say(last.versions[id][column]) : "nothing");
  const { made, y } = canvas(width, most, ids, now, label, service);
  axis(made, width, y, values.length ? [0, most / 2, most] : [0], tick);
  times(made, x, width, start, end);
  if (!values.length) made.append(svg("text", { x: width / 2, y: y(most / 2), "text-anchor": "middle" }, "nothing was answered"));
  for (const id of ids) {
    for (const path of stretches(points, id, column)) {
      made.append(svg("polyline", { points: path.map(([at, value]) => `${x(at)},${y(value)}`).join(" "), class: `line line-${look(service.id, id)}` }));
    }
  }
  return made;
}

/** The stretches over which a version has this figure; one moment alone is drawn as a dash. */
function stretches(points, id, column) {
  const found = [[]];
  points.forEach((point, n) => {
    // A rate belongs to the stretch before its moment; the first moment has none and takes the next one's.
    const value = (n ? point : points[1]).versions[id]?.[column];
    if (value == null) found.push([]);
    else found.at(-1).push([point.at, value]);
  });
  return found.filter((path) => path.length).map((path) => (path.length > 1 ? path : [[path[0][0] - 2, path[0][1]], path[0]]));
}

/** The next number that reads well: an axis ends there. */
function round(value) {
  if (value <= 0) return 1;
  const ten = 10 ** Math.floor(Math.log10(value));
  return ten * [1, 2, 4, 5, 10].find((step) => step * ten >= value);
}

function canvas(width, most, ids, now, label, service) {
  const height = 132;
  const told = ids.map((id) => `${service.names[id]} ${now(id)}`).join(", ");
  const made = svg("svg", { class: "plot", width, height, role: "img", "aria-label": `${label}, over time; now ${told}` });
  return { made, y: (value) => height - BOTTOM - (value / most) * (height - BOTTOM - 8) };
}

function axis(made, width, y, values, text) {
  for (const value of values) {
    made.append(
      svg("line", { x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value), class: "grid" }),
      svg("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, text(value)),
    );
  }
}

/** Mark full minutes or parts of them, as many as there is room for. */
function times(made, x, width, start, end) {
  const height = Number(made.getAttribute("height"));
  const step = STEPS_S.find((one) => ((end - start) / one) * (one < 60 ? 90 : 64) <= width - LEFT) ?? 600;
  for (let at = Math.ceil(start / step) * step; at <= end; at += step) {
    const place = x(at);
    made.append(svg("line", { x1: place, x2: place, y1: height - BOTTOM, y2: height - BOTTOM + 4, class: "tick" }));
    if (place > LEFT + 24 && place < width - 28) {
      made.append(svg("text", { x: place, y: height - 5, "text-anchor": "middle" }, (step < 60 ? time : minutes).format(at * 1000)));
    }
  }
}

// ── what is under the pointer ──

/** Let a line follow the pointer through all pictures, and tell in words what was at that moment. */
function follow({ service, points, x, width, ids }, plots, readout) {
  const cursors = plots.map((made) => svg("line", { y1: 8, y2: Number(made.getAttribute("height")) - BOTTOM, class: "cursor" }));
  plots.forEach((made, n) => {
    made.append(cursors[n]);
    made.addEventListener("pointermove", (event) => point(event.clientX - made.getBoundingClientRect().left));
    made.addEventListener("pointerleave", () => point(null));
  });
  const tell = (found) => ids.filter((id) => found.versions[id]).map((id) => {
    const values = found.versions[id];
    const rest = FIGURES.filter(([, column]) => values[column] != null).map(([, column, , say]) => say(values[column]));
    return [" · ", html("bdi", {}, service.names[id]), ` ${[`${values[0]} %`, ...rest].join(", ")}`];
  });
  const point = (place) => {
    pointed = place;
    const found = place === null ? null : points.reduce((best, one) => (Math.abs(x(one.at) - place) < Math.abs(x(best.at) - place) ? one : best));
    for (const cursor of cursors) {
      cursor.setAttribute("x1", found ? x(found.at) : -9);
      cursor.setAttribute("x2", found ? x(found.at) : -9);
    }
    readout.replaceChildren(...(found ? [time.format(found.at * 1000), ...tell(found).flat()] : []));
  };
  point(pointed !== null && pointed <= width ? pointed : null);
}
