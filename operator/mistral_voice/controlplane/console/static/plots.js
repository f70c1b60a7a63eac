// Plots: plain SVG. Each is a drawing of figures that stand beside or behind it as text, so that nobody needs to see it.

import { h, svg } from "./dom.js";

const stretched = (attributes, ...shapes) =>
  svg("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false", ...attributes }, shapes);

export function level(share) {
  if (share === null) return "none";
  return share >= 1 ? "full" : share >= 0.8 ? "near" : "fine";
}

// What is used, then what is held, against a limit; `pace` marks how far the period has gone.
export function meter({ used, held = 0, limit, pace = null, small = false }) {
  const whole = limit === null ? 0 : Math.max(limit, used + held);
  const share = (value) => (whole > 0 ? (value / whole) * 100 : 0);
  const taken = limit === null ? null : limit > 0 ? (used + held) / limit : 1;
  const attributes = { class: `meter${small ? " small" : ""}`, "data-level": level(taken) };
  if (limit === 0) return stretched(attributes, svg("rect", { class: "used", width: 100, height: 100 }));
  return stretched(
    attributes,
    svg("rect", { class: "used", width: share(used).toFixed(2), height: 100 }),
    svg("rect", { class: "held", x: share(used).toFixed(2), width: share(held).toFixed(2), height: 100 }),
    pace !== null && limit !== null && svg("line", { class: "pace", x1: (pace * share(limit)).toFixed(2), x2: (pace * share(limit)).toFixed(2), y1: 0, y2: 100 }),
  );
}

function figure(title, plot, axis, table, note) {
  return h(
    "figure",
    { class: "plot" },
    h("figcaption", {}, h("h2", {}, title), note && h("p", { class: "note" }, note)),
    h("div", { class: "canvas" }, axis.scale.map((text) => h("span", { class: "scale" }, text)), plot),
    h("div", { class: axis.slots ? "axis slots" : "axis", "aria-hidden": "true" }, axis.labels.map((text) => h("span", {}, text))),
    h("details", { class: "behind" }, h("summary", {}, "As a table"), table),
  );
}

export function dataTable(caption, heads, rows) {
  return h(
    "table",
    { class: "plain" },
    h("caption", { class: "unseen" }, caption),
    h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
    h("tbody", {}, rows.map(([first, ...rest]) => h("tr", {}, h("th", { scope: "row" }, first), rest.map((text) => h("td", {}, text))))),
  );
}

// Values over time as an area. `points` are `{ at, value }`, the earliest first.
export function area({ title, note, points, limit, valueText, timeText, heads }) {
  const most = Math.max(1, ...points.map((point) => point.value), limit !== null && limit <= 2 * Math.max(1, ...points.map((p) => p.value)) ? limit : 0);
  const first = points[0]?.at ?? 0;
  const width = Math.max(1, (points.at(-1)?.at ?? 1) - first);
  const x = (at) => (((at - first) / width) * 100).toFixed(2);
  const y = (value) => (96 - (value / most) * 88).toFixed(2);
  // A level holds until the next look: steps, not slopes.
  const steps = points.map((point, index) => (index ? `H${x(point.at)}V${y(point.value)}` : `M0 ${y(point.value)}`)).join("") + (points.length ? "H100" : "");
  const shown = limit !== null && limit <= most;
  const plot = stretched(
    { class: "drawn" },
    svg("path", { class: "fill", d: points.length ? `${steps}V100H0Z` : "" }),
    svg("path", { class: "stroke", d: steps }),
    shown && svg("line", { class: "limit", x1: 0, x2: 100, y1: y(limit), y2: y(limit) }),
  );
  const thin = points.filter((_, index) => index === points.length - 1 || index % Math.ceil(points.length / 20) === 0);
  const labels = points.length > 1 ? [timeText(first), timeText(points.at(-1).at)] : [points.length ? timeText(first) : ""];
  const scale = [shown ? `limit ${valueText(limit)}` : valueText(most)];
  return figure(title, plot, { labels, scale }, dataTable(title, heads, thin.map((point) => [timeText(point.at), valueText(point.value)]).reverse()), note);
}

// One column for each period, the earliest first; the line is the present limit.
export function columns({ title, note, bars, limit, valueText, heads }) {
  const greatest = Math.max(...bars.map((bar) => bar.value), 0);
  const shown = limit !== null && limit > 0 && limit <= Math.max(1, greatest) * 4;
  const most = Math.max(1, greatest, shown ? limit : 0);
  const slot = 100 / Math.max(bars.length, 6);
  const height = (value) => (value / most) * 92;
  const plot = stretched(
    { class: "drawn" },
    bars.map((bar, index) =>
      svg("rect", {
        class: index === bars.length - 1 ? "bar now" : "bar",
        x: (index * slot + slot * 0.14).toFixed(2),
        width: (slot * 0.72).toFixed(2),
        y: (100 - height(bar.value)).toFixed(2),
        height: height(bar.value).toFixed(2),
      }, svg("title", {}, `${bar.name}: ${valueText(bar.value)}`)),
    ),
    shown && svg("line", { class: "limit", x1: 0, x2: 100, y1: (100 - height(limit)).toFixed(2), y2: (100 - height(limit)).toFixed(2) }),
  );
  const every = Math.ceil(bars.length / 6);
  const slots = Array.from({ length: Math.max(bars.length, 6) }, (_, index) => ((bars.length - 1 - index) % every === 0 ? bars[index]?.short ?? "" : ""));
  const scale = [shown && limit >= greatest ? `limit ${valueText(limit)}` : valueText(most)];
  return figure(title, plot, { labels: slots, scale, slots: true }, dataTable(title, heads, bars.map((bar) => [bar.name, valueText(bar.value)]).reverse()), note);
}

// Parts of a whole in one bar, such as keys by state; `parts` are `{ name, count }`.
export function parts(list) {
  const whole = Math.max(1, list.reduce((sum, part) => sum + part.count, 0));
  let at = 0;
  return stretched(
    { class: "parts" },
    list.map((part) => {
      const x = at;
      at += (part.count / whole) * 100;
      return svg("rect", { "data-part": part.name, x: x.toFixed(2), width: (at - x).toFixed(2), height: 100 });
    }),
  );
}
