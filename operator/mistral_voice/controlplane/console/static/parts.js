// Pieces that several views share.

import { h } from "./dom.js";
import { duration, moment, money, number, percent, periodGone, plural } from "./format.js";
import { level, meter } from "./plots.js";

export const PAGE = 25;
export const seg = encodeURIComponent;
const MEASURES = [
  { measure: "sessions", name: "Sessions now", text: (value) => number(value) },
  { measure: "sessionMs", name: "Session time", text: (value) => duration(value) },
  { measure: "microUnits", name: "Spend", text: (value, currency) => money(value, currency) },
];

export function link(path, text, attributes) {
  return h("a", { href: `#${path}`, ...attributes }, text);
}

export function badge(text, kind = "") {
  return h("span", { class: "badge", "data-kind": kind }, text);
}

export function planBadges(plan) {
  return [
    plan.deleted && badge("Deleted", "off"),
    plan.stopPolicy === "Hold" && badge("Held", "warn"),
    plan.stopPolicy === "HoldAndDrain" && badge("Held and draining", "bad"),
    plan.enforcement === "Shadow" && badge("Shadow", "info"),
  ];
}

// What can't be told, and why: never an empty place.
export function unsaid(failure) {
  const titles = { denied: "Your token may not read this", missing: "There is nothing of this name", unusable: "This can't be asked" };
  return h("div", { class: "sentence", "data-kind": failure.kind }, h("strong", {}, titles[failure.kind] ?? "This can't be told"), h("p", {}, failure.message));
}

export function sentence(title, ...more) {
  return h("div", { class: "sentence" }, h("strong", {}, title), more.map((text) => h("p", {}, text)));
}

export function heading(title, ...more) {
  return h("div", { class: "heading" }, h("h1", { id: "title", tabindex: "-1" }, title), more);
}

export function crumbs(...links) {
  return h("nav", { class: "crumbs", "aria-label": "Breadcrumb" }, h("ol", {}, links.map((item) => h("li", {}, item))));
}

export function tabs(route, base, names) {
  const current = route.query.get("tab") ?? names[0][0];
  const to = (tab) => (tab === names[0][0] ? base : `${base}?tab=${tab}`);
  return h("nav", { class: "tabs", "aria-label": "Of this page" }, names.map(([tab, name]) => link(to(tab), name, { "aria-current": tab === current ? "page" : null })));
}

function amounts(standing, measure) {
  const held = standing.held[measure];
  return measure === "sessions" ? { used: held, held: 0 } : { used: standing.used[measure], held };
}

function stateText(used, held, limit) {
  if (limit === 0) return "limit 0: nothing allowed";
  return used + held >= limit ? "limit reached" : `${percent((used + held) / limit)} taken`;
}

// Three figures against their limits.
export function tiles(standing, period, currency, now, none = "no limit") {
  return h(
    "div",
    { class: "tiles" },
    MEASURES.map(({ measure, name, text }) => {
      const { used, held } = amounts(standing, measure);
      const limit = standing.limits[measure];
      const pace = measure === "sessions" ? null : periodGone(period, now);
      return h(
        "section",
        { class: "tile", "aria-label": name, "data-level": level(limit === null ? null : limit > 0 ? (used + held) / limit : 1) },
        h("h2", {}, name),
        h("p", { class: "figure" }, text(used, currency), h("small", {}, limit === null ? ` ${none}` : ` of ${text(limit, currency)}`)),
        meter({ used, held, limit, pace }),
        h(
          "p",
          { class: "legend" },
          limit !== null && h("span", { class: "taken" }, stateText(used, held, limit)),
          held > 0 && h("span", { class: "key-held" }, `${text(held, currency)} held by sessions`),
          pace !== null && limit !== null && h("span", { class: "key-pace" }, `${percent(pace)} of the period gone`),
        ),
      );
    }),
  );
}

export function cellOf(standing, measure, currency) {
  const { text } = MEASURES.find((some) => some.measure === measure);
  const { used, held } = amounts(standing, measure);
  const limit = standing.limits[measure];
  return h(
    "span",
    { class: "gauge" },
    h("span", { class: "amount" }, text(used, currency), limit !== null && h("small", {}, ` of ${text(limit, currency)}`)),
    limit !== null && meter({ used, held, limit, small: true }),
    limit !== null && used + held >= 0.8 * limit && h("small", { class: "taken", "data-level": level(limit ? (used + held) / limit : 1) }, stateText(used, held, limit)),
  );
}

// A table that becomes a list of cards where there is no room. `columns` are { name, sort?, numeric?, cell(item) }; the first names the row.
export function listing({ caption, columns, items, keyOf, empty, order, sortBy }) {
  if (!items.length) return h("p", { class: "empty" }, empty);
  const sorted = (column) => (order === column.sort ? (column.sort === "name" ? "ascending" : "descending") : null);
  const head = (column) =>
    h("th", { scope: "col", role: "columnheader", class: column.numeric ? "numeric" : null, "aria-sort": column.sort ? sorted(column) ?? "none" : null },
      column.sort ? h("button", { type: "button", class: "sorter", "data-action": "sort", "data-value": column.sort }, column.name) : column.name);
  const cell = (column, item, index) =>
    h(index ? "td" : "th", { scope: index ? null : "row", role: index ? "cell" : "rowheader", class: column.numeric ? "numeric" : null, "data-label": column.name }, h("div", { class: "cell" }, column.cell(item)));
  return h(
    "div",
    { class: "listing" },
    sortBy,
    h(
      "table",
      { role: "table" },
      h("caption", { class: "unseen" }, caption),
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, columns.map(head))),
      h("tbody", { role: "rowgroup" }, items.map((item) => h("tr", { role: "row", "data-key": keyOf(item) }, columns.map((column, index) => cell(column, item, index))))),
    ),
  );
}

export function pager(memory, table, page, words = ["Previous", "Next"]) {
  const before = memory.cursors(table).length;
  if (!before && !page.next) return null;
  return h(
    "nav",
    { class: "pager", "aria-label": "Pages" },
    h("button", { type: "button", class: "quiet", disabled: !before, "data-action": "previous", "data-table": table }, `← ${words[0]}`),
    h("span", {}, `Page ${before + 1}`),
    h("button", { type: "button", class: "quiet", disabled: !page.next, "data-action": "next", "data-table": table, "data-value": page.next }, `${words[1]} →`),
  );
}

export function command(title, text, note) {
  return h(
    "section",
    { class: "command" },
    h("h3", {}, title),
    note && h("p", {}, note),
    h("div", { class: "code" }, h("pre", { tabindex: "0" }, h("code", {}, text)), h("button", { type: "button", class: "quiet small", "data-action": "copy", "data-value": text }, "Copy", h("span", { class: "unseen" }, `: ${title}`))),
  );
}

export function when(at, now) {
  return h("time", { datetime: at, title: `${at.slice(0, 19).replace("T", " ")} UTC` }, moment(Date.parse(at), now));
}

export function names(list) {
  return list.map((name) => h("span", { class: "model" }, name));
}

export function counted(count, one, many) {
  return h("span", { class: "fact" }, plural(count, one, many));
}
