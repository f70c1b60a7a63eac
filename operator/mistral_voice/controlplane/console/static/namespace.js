// One namespace, as its own team may see it too: what it uses of each plan.

import { h } from "./dom.js";
import { money, percent, periodGone, periodName, periodShort, plural } from "./format.js";
import { cellOf, crumbs, heading, link, listing, planBadges, seg, sentence, tabs, tiles, unsaid } from "./parts.js";
import { columns } from "./plots.js";
import { audit, loadAudit, loadSessions, sessions } from "./records.js";

const TABS = [["usage", "Usage"], ["sessions", "Sessions"], ["audit", "Audit"]];
const tabOf = (route) => (TABS.some(([tab]) => tab === route.query.get("tab")) ? route.query.get("tab") : "usage");

export async function load(ask, route, memory) {
  if (route.name === null) return { access: (await ask("/access")).value };
  const base = `/namespaces/${seg(route.name)}`;
  if (tabOf(route) === "sessions") return { listed: await loadSessions(ask, base, route, memory) };
  if (tabOf(route) === "audit") return { listed: await loadAudit(ask, base, route, memory) };
  return { listed: await ask(`${base}/usage`) };
}

export function render({ access, listed }, route, memory, now) {
  if (route.name === null) return choose(access);
  const base = `/namespaces/${seg(route.name)}`;
  const head = [crumbs(link("/namespaces", "Namespaces"), route.name), heading(route.name), tabs(route, base, TABS)];
  const panel = (...content) => h("section", { class: "panel", "data-key": `panel-${tabOf(route)}`, "aria-label": TABS.find(([name]) => name === tabOf(route))?.[1] }, content);
  if (tabOf(route) === "sessions") return [head, panel(sessions(listed, route, memory, now, "", false))];
  if (tabOf(route) === "audit") return [head, panel(audit(listed, route, memory, now, false))];
  if (listed.failure) return [head, unsaid(listed.failure)];
  if (!listed.value.plans.length) return [head, sentence("This namespace has used no plan yet.", "It stands here as soon as the first session of one of its managed integrations begins.")];
  return [head, listed.value.plans.map((plan) => usage(plan, now))];
}

function choose(access) {
  return [
    heading("Namespaces", h("p", { class: "lead" }, "What a namespace uses you may see if you may read its integrations there.")),
    h(
      "form",
      { class: "filters", "data-action": "go", "data-key": "go" },
      h("label", {}, "Namespace", h("input", { name: "namespace", required: true, pattern: "[a-z0-9]([-a-z0-9]*[a-z0-9])?", maxlength: 63, autocomplete: "off", spellcheck: "false", autocapitalize: "none" })),
      h("button", { type: "submit" }, "Show"),
    ),
    access.namespace !== null && h("p", {}, "Your token's own namespace: ", link(`/namespaces/${seg(access.namespace)}`, access.namespace)),
    access.allPlans && h("p", { class: "note" }, "A plan's page lists all namespaces that use it."),
  ];
}

function usage(plan, now) {
  const bars = plan.periods.filter((period) => period.currency === plan.currency).slice(0, 12).toReversed();
  const column = (measure, name) => ({ name, cell: (item) => cellOf(item.standing, measure, plan.currency) });
  const list = [
    { name: "Integration", cell: (item) => item.integration },
    { name: "Sessions begun", numeric: true, cell: (item) => String(item.sessions) },
    column("sessions", "Sessions now"),
    column("sessionMs", "Session time"),
    column("microUnits", "Spend"),
  ];
  return h(
    "section",
    { class: "of-plan", "data-key": plan.plan },
    h("header", {}, h("h2", { class: "name" }, "Plan ", link(`/plans/${seg(plan.plan)}`, plan.plan)), planBadges(plan), h("span", { class: "fact" }, `${periodName(plan.period)} UTC, ${percent(periodGone(plan.period, now))} gone`)),
    tiles(plan.standing, plan.period, plan.currency, now),
    h(
      "div",
      { class: "plots" },
      columns({
        title: "Spend by period",
        note: plan.standing.limits.microUnits === null ? "There is no limit of spend." : `The limit is ${money(plan.standing.limits.microUnits, plan.currency)} now.`,
        bars: bars.map(({ period, used }) => ({ name: periodName(period), short: periodShort(period), value: used.microUnits })),
        limit: plan.standing.limits.microUnits,
        valueText: (value) => money(value, plan.currency),
        heads: ["Period", "Spend"],
      }),
      h("section", { class: "panel" }, h("h2", {}, plural(plan.integrations.length, "integration")),
        listing({ caption: `Integrations of the plan ${plan.plan}`, columns: list, items: plan.integrations, keyOf: (item) => item.integration, empty: "None." }),
        plan.moreIntegrations && h("p", { class: "note" }, "There are more than are listed here.")),
    ),
  );
}
