// One plan: its use against its limits, its tenants, sessions and audit, and the commands that change it.

import { query } from "./api.js";
import { costs, enforce, hold, limit } from "./commands.js";
import { h } from "./dom.js";
import { clock, money, number, percent, periodGone, periodName, plural } from "./format.js";
import { cellOf, command, counted, crumbs, heading, link, listing, PAGE, pager, planBadges, seg, tabs, tiles, unsaid } from "./parts.js";
import { area, dataTable, meter } from "./plots.js";
import { audit, loadAudit, loadSessions, sessions } from "./records.js";

const TABS = [["tenants", "Tenants"], ["sessions", "Sessions"], ["audit", "Audit"], ["change", "Change"]];
const LARGEST = 8;
const LIMITS = { namespace: "each namespace", total: "all namespaces together", integration: "each integration" };
const ORDERS = [["microUnits", "Spend"], ["sessionMs", "Session time"], ["sessions", "Sessions now"], ["name", "Name"]];

const sortOf = (route) => (ORDERS.some(([order]) => order === route.query.get("sort")) ? route.query.get("sort") : "microUnits");
const tabOf = (route) => (TABS.some(([tab]) => tab === route.query.get("tab")) ? route.query.get("tab") : "tenants");

export async function load(ask, route, memory) {
  const base = `/plans/${seg(route.name)}`;
  const loads = {
    tenants: () => ask(`${base}/tenants${query({ sort: sortOf(route), containing: route.query.get("find"), cursor: memory.cursor("tenants"), limit: PAGE })}`),
    sessions: () => loadSessions(ask, base, route, memory),
    audit: () => loadAudit(ask, base, route, memory),
    change: () => ({}),
  };
  const part = loads[tabOf(route)];
  const [usage, largest, listed] = await Promise.all([ask(`${base}/usage`), ask(`${base}/tenants${query({ sort: "microUnits", limit: LARGEST })}`), part()]);
  if (usage.value) memory.sample(route.name, usage.value.total.held.sessions);
  return { usage, largest, listed };
}

export function render({ usage, largest, listed }, route, memory, now) {
  const trail = crumbs(link("/", "Plans"), route.name);
  if (usage.failure) return [trail, heading(route.name), unsaid(usage.failure)];
  const plan = usage.value;
  const base = `/plans/${seg(route.name)}`;
  const tab = {
    tenants: () => tenants(listed, route, memory, plan),
    sessions: () => sessions(listed, route, memory, now, plan.currency, true),
    audit: () => audit(listed, route, memory, now, true),
    change: () => change(plan, memory, now),
  };
  return [
    trail,
    heading(
      plan.plan,
      h("div", { class: "facts" }, planBadges(plan), counted(plan.tenants, "tenant"), h("span", { class: "fact" }, "pool ", link(`/keys?pool=${seg(plan.pool)}`, plan.pool)),
        h("span", { class: "fact" }, `${periodName(plan.period)} UTC, ${percent(periodGone(plan.period, now))} gone`)),
    ),
    notice(plan),
    tiles(plan.total, plan.period, plan.currency, now, "no limit in total"),
    h("div", { class: "plots" }, live(plan, memory), where(largest, plan)),
    tabs(route, base, TABS),
    h("section", { class: "panel", "data-key": `panel-${tabOf(route)}`, "aria-label": TABS.find(([name]) => name === tabOf(route))?.[1] }, tab[tabOf(route)]()),
  ];
}

function notice(plan) {
  const texts = [
    plan.deleted && "This plan is deleted: it takes no session. What was used under it is kept.",
    !plan.deleted && plan.stopPolicy === "Hold" && "This plan is held: it takes no new session; those that run go on.",
    !plan.deleted && plan.stopPolicy === "HoldAndDrain" && "This plan is held and drains: it takes no new session, and those that run end when their lease is next renewed.",
    plan.enforcement === "Shadow" && "Shadow: nothing is refused at a limit; the audit tells what would have been.",
  ].filter(Boolean);
  return texts.length > 0 && h("p", { class: "notice" }, texts.join(" "));
}

function live(plan, memory) {
  return area({
    title: "Sessions at once",
    note: "Since this page was opened.",
    points: memory.samples(plan.plan),
    limit: plan.total.limits.sessions,
    valueText: number,
    timeText: clock,
    heads: ["At (UTC)", "Sessions"],
  });
}

function where(largest, plan) {
  const items = (largest.value?.items ?? []).filter((item) => item.standing.used.microUnits > 0);
  const most = Math.max(1, plan.namespaceLimits.microUnits ?? 0, ...items.map((item) => item.standing.used.microUnits));
  const row = (item) => {
    const used = item.standing.used.microUnits;
    return h("li", { "data-key": item.namespace }, h("span", { class: "name" }, link(`/namespaces/${seg(item.namespace)}`, item.namespace)), h("span", { class: "amount" }, money(used, plan.currency)),
      meter({ used, limit: plan.namespaceLimits.microUnits ?? most, small: true }));
  };
  return h(
    "section",
    { class: "plot" },
    h("h2", {}, "Largest spend"),
    h("p", { class: "note" }, plan.namespaceLimits.microUnits === null ? "Bars are to the largest." : `Bars are to each namespace's limit of ${money(plan.namespaceLimits.microUnits, plan.currency)}.`),
    largest.failure ? unsaid(largest.failure) : items.length ? h("ol", { class: "ranks" }, items.map(row)) : h("p", { class: "empty" }, "Nothing was spent in this period."),
  );
}

function tenants(answer, route, memory, plan) {
  const order = sortOf(route);
  const find = h(
    "form",
    { class: "filters", "data-action": "find", "data-key": "find" },
    h("label", {}, "Name contains", h("input", { name: "find", type: "search", value: route.query.get("find") ?? "", autocomplete: "off", spellcheck: "false", maxlength: 63, placeholder: "all namespaces" })),
    h("label", { class: "only-narrow" }, "Order", h("select", { "data-action": "order", name: "sort" }, ORDERS.map(([value, name]) => h("option", { value, selected: value === order }, name)))),
    h("button", { type: "submit", class: "quiet" }, "Find"),
  );
  if (answer.failure) return [find, unsaid(answer.failure)];
  const column = (measure, name) => ({ name, sort: measure, cell: (item) => cellOf(item.standing, measure, plan.currency) });
  const columns = [
    { name: "Namespace", sort: "name", cell: (item) => link(`/namespaces/${seg(item.namespace)}`, item.namespace) },
    column("sessions", "Sessions now"),
    column("sessionMs", "Session time"),
    column("microUnits", "Spend"),
  ];
  const empty = route.query.get("find") ? "No namespace of this plan has such a name." : "No namespace has used this plan yet.";
  return [
    find,
    listing({ caption: `Namespaces that use the plan ${plan.plan}`, columns, items: answer.value.items, keyOf: (item) => item.namespace, empty, order }),
    pager(memory, "tenants", answer.value),
  ];
}

function change(plan, memory, now) {
  const scope = memory.form("scope", "namespace");
  const measure = memory.form("measure", "microUnits");
  const bounds = { namespace: plan.namespaceLimits, total: plan.total.limits, integration: plan.integrationLimits }[scope];
  const units = { microUnits: `${plan.currency} in a period`, sessionMs: "hours in a period", sessions: "sessions at once" };
  const scale = { microUnits: 1e6, sessionMs: 3_600_000, sessions: 1 }[measure];
  const present = bounds[measure] === null ? null : bounds[measure] / scale;
  const proposed = present === null ? 10 : Math.ceil(present * 1.2 * 100) / 100;
  const field = `amount-${plan.plan}-${scope}-${measure}`;
  const amount = memory.form(field, String(measure === "sessions" ? Math.ceil(proposed) : proposed));
  const good = Number(amount) >= 0 && amount.trim() !== "" && Number.isFinite(Number(amount));
  const option = (value, text, chosen) => h("option", { value, selected: value === chosen }, text);
  const held = plan.stopPolicy !== "None";
  const day = (at) => new Date(at).toISOString().slice(0, 10);
  const to = now + 86_400_000;
  return [
    h("p", { class: "lead" }, "The console only reads. These commands change the plan, with your own rights."),
    h("form", { class: "filters", "data-action": "form" },
      h("label", {}, "Limit of", h("select", { name: "scope" }, Object.entries(LIMITS).map(([value, text]) => option(value, text, scope)))),
      h("label", {}, "What", h("select", { name: "measure" }, option("microUnits", "Spend", measure), option("sessionMs", "Session time", measure), option("sessions", "Sessions at once", measure))),
      h("label", { "data-key": field }, units[measure], h("input", { name: field, type: "number", min: 0, step: measure === "sessions" ? 1 : "any", value: amount }))),
    command("Set this limit", good ? limit(plan.plan, scope, measure, amount) : "Write a number, 0 or greater.", present === null ? "There is no such limit now." : `Now it is ${number(present)} ${units[measure]}.`),
    held ? command("Take sessions again", hold(plan.plan, "None")) : command("Hold the plan", hold(plan.plan, "Hold"), "It takes no new session; those that run go on."),
    plan.stopPolicy !== "HoldAndDrain" && command("Hold it and end its sessions", hold(plan.plan, "HoldAndDrain"), "Sessions that run end when their lease is next renewed, each after its turn."),
    plan.enforcement === "Shadow" ? command("Enforce the limits", enforce(plan.plan, "Enforce")) : command("Try limits without refusing anybody", enforce(plan.plan, "Shadow"), "The audit then tells what would have been refused."),
    command("Export the cost of the last 30 days (FOCUS, CSV)", costs(location.origin, `/plans/${plan.plan}`, day(to - 30 * 86_400_000), day(to)), "With a token in the variable TOKEN."),
  ];
}
