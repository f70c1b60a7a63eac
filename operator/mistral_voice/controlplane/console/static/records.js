// Sessions and audit of a plan or a namespace, page by page.

import { query } from "./api.js";
import { h } from "./dom.js";
import { duration, money, span } from "./format.js";
import { badge, listing, link, names, PAGE, pager, seg, unsaid, when } from "./parts.js";

const EVENTS = [
  ["SessionAdmitted", "Session admitted"],
  ["Refused", "Session refused"],
  ["WouldHaveBeenRefused", "Would have been refused"],
  ["PlanChanged", "Plan changed"],
  ["PlanDeleted", "Plan deleted"],
];
const KINDS = { Refused: "bad", WouldHaveBeenRefused: "warn", SessionAdmitted: "good", PlanChanged: "info", PlanDeleted: "off" };

function filters(route) {
  const wanted = {};
  for (const name of ["namespace", "integration", "event"]) wanted[name] = route.query.get(name) ?? "";
  return wanted;
}

export function loadSessions(ask, base, route, memory) {
  const { namespace, integration } = filters(route);
  return ask(`${base}/sessions${query({ namespace, integration, cursor: memory.cursor("sessions"), limit: PAGE })}`);
}

export function loadAudit(ask, base, route, memory) {
  return ask(`${base}/audit${query({ ...filters(route), cursor: memory.cursor("audit"), limit: PAGE })}`);
}

function filterForm(route, fields) {
  const given = filters(route);
  return h(
    "form",
    { class: "filters", "data-action": "filter", "data-key": `filters-${fields.join()}` },
    fields.includes("event") &&
      h("label", {}, "Event", h("select", { name: "event" }, h("option", { value: "" }, "All"), EVENTS.map(([event, name]) => h("option", { value: event, selected: event === given.event }, name)))),
    ["namespace", "integration"].map(
      (name) =>
        fields.includes(name) &&
        h("label", {}, name === "namespace" ? "Namespace" : "Integration", h("input", { name, value: given[name], autocomplete: "off", spellcheck: "false", placeholder: "all" })),
    ),
    h("button", { type: "submit", class: "quiet" }, "Filter"),
    fields.some((name) => given[name]) && h("button", { type: "button", class: "quiet", "data-action": "unfilter" }, "Clear"),
  );
}

export function sessions(answer, route, memory, now, currency, withNamespace) {
  const form = filterForm(route, withNamespace ? ["namespace", "integration"] : ["integration"]);
  if (answer.failure) return [form, unsaid(answer.failure)];
  const whose = (lease) => (withNamespace ? [link(`/namespaces/${seg(lease.namespace)}`, lease.namespace), " / ", lease.integration] : lease.integration);
  const columns = [
    { name: "Session", cell: (lease) => h("code", {}, lease.session) },
    { name: withNamespace ? "Namespace / integration" : "Integration", cell: whose },
    { name: "Models", cell: (lease) => names(lease.models) },
    { name: "Since", numeric: true, cell: (lease) => h("span", { title: lease.startedAt }, span(now - Date.parse(lease.startedAt))) },
    { name: "Holds", numeric: true, cell: (lease) => `${duration(lease.heldSessionMs)}${currency ? ` · ${money(lease.heldMicroUnits, currency)}` : ""}` },
    { name: "Lease", cell: (lease) => (lease.running ? badge("running", "good") : badge("to be settled", "warn")) },
  ];
  const page = answer.value;
  return [
    form,
    listing({ caption: "Sessions that hold a lease now", columns, items: page.items, keyOf: (lease) => `${lease.session}/${lease.epoch}`, empty: "No session holds a lease now." }),
    pager(memory, "sessions", page),
  ];
}

export function audit(answer, route, memory, now, withNamespace) {
  const form = filterForm(route, withNamespace ? ["event", "namespace", "integration"] : ["event", "integration"]);
  if (answer.failure) return [form, unsaid(answer.failure)];
  const name = (event) => EVENTS.find(([some]) => some === event)?.[1] ?? event;
  const whose = (entry) => {
    if (!entry.namespace) return "–";
    const space = withNamespace ? link(`/namespaces/${seg(entry.namespace)}`, entry.namespace) : null;
    return [space, space && entry.integration && " / ", entry.integration];
  };
  const columns = [
    { name: "At (UTC)", cell: (entry) => when(entry.at, now) },
    { name: "Event", cell: (entry) => [badge(name(entry.event), KINDS[entry.event]), entry.times > 1 && h("small", {}, ` × ${entry.times}`)] },
    { name: withNamespace ? "Namespace / integration" : "Integration", cell: whose },
    { name: "What", cell: (entry) => (entry.message || entry.reason ? [entry.message, entry.reason && h("small", {}, ` ${entry.reason}`)] : h("code", {}, entry.session || "–")) },
  ];
  const page = answer.value;
  return [
    form,
    listing({ caption: "Audit entries, the latest first", columns, items: page.items, keyOf: (entry) => String(entry.id), empty: "There is no such entry. The audit is kept for 90 days, if nothing else was set." }),
    pager(memory, "audit", page, ["Newer", "Older"]),
  ];
}
