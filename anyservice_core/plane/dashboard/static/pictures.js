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
      html("bdi", {}, v.name), weights && v.weight !== undefined ? ` ${v.weight} %` : ""));
  return html("span", { class: "legend" }, items);
}

// ── over time ──

const LEFT = 44;
const RIGHT = 8;
const LEAST_S = 60;
const time = new Intl.DateTimeFormat([], { timeStyle: "medium" });
const short = new Intl.NumberFormat("en", { maximumFractionDigits: 1, notation: "compact" });

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
  const plot = { service: service.id, points, x, width, start, end, ids };
  return [
    bar(service.id, service.versions),
    legend(service.id, entries),
    html("h3", {}, "Weights"), weights(plot, service),
    html("h3", {}, "Requests a second"), lines(plot, 1, "Requests a second"),
    html("h3", {}, "Errors a second"), lines(plot, 2, "Errors a second"),
  ];
}

/** How wide what is in it may be. */
function room(place) {
  const style = getComputedStyle(place);
  return Math.floor(place.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight));
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

function weights({ points, x, width, start, end, ids }, service) {
  const height = 150;
  const y = (percent) => height - 22 - (percent / 100) * (height - 30);
  const upTo = (point, n) => ids.slice(0, n).reduce((all, id) => all + (point.versions[id]?.[0] ?? 0), 0);
  const label = ids.map((id) => `${service.names[id]} ${current(service, id).weight} %`).join(", ");
  const made = canvas(width, height, `Weights over time; now ${label}`);
  ids.forEach((id, n) => {
    made.append(svg("polygon", {
      points: area(points, x, (p) => y(upTo(p, n)), (p) => y(upTo(p, n + 1))), fill: `url(#look-${look(service.id, id)})`, class: "area",
    }));
  });
  axis(made, width, y, [0, 50, 100], (value) => `${value} %`);
  times(made, width, height, start, end);
  return made;
}

function lines({ service, points, x, width, start, end, ids }, column, label) {
  const height = 110;
  const most = Math.max(...points.flatMap((p) => Object.values(p.versions).map((v) => v[column])), 1);
  const y = (value) => height - 22 - (value / most) * (height - 30);
  const made = canvas(width, height, `${label} over time, by version; at most ${short.format(most)}`);
  axis(made, width, y, [0, most], (value) => short.format(value));
  for (const id of ids) {
    // A rate belongs to the stretch before its moment; the first moment has none and takes the next one's.
    const rated = points.map((p, n) => [p.at, (n ? p : points[1]).versions[id]]).filter(([, values]) => values);
    const path = rated.map(([at, values]) => `${x(at)},${y(values[column])}`);
    made.append(svg("polyline", { points: path.join(" "), class: `line line-${look(service, id)}` }));
  }
  times(made, width, height, start, end);
  return made;
}

const canvas = (width, height, label) => svg("svg", { class: "plot", width, height, role: "img", "aria-label": label });

function axis(made, width, y, values, text) {
  for (const value of values) {
    made.append(
      svg("line", { x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value), class: "grid" }),
      svg("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, text(value)),
    );
  }
}

function times(made, width, height, start, end) {
  made.append(
    svg("text", { x: LEFT, y: height - 4 }, time.format(start * 1000)),
    svg("text", { x: width - RIGHT, y: height - 4, "text-anchor": "end" }, time.format(end * 1000)),
  );
}
