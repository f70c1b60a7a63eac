// All plans, each with what its namespaces use together.

import { h } from "./dom.js";
import { percent, periodGone, periodName, plural } from "./format.js";
import { heading, link, planBadges, seg, sentence, tiles, unsaid } from "./parts.js";
import { command } from "./parts.js";

const AT_ONCE = 12;

const pagesMore = (route) => Math.max(0, Number.parseInt(route.query.get("more"), 10) || 0);

export async function load(ask, route, memory) {
  const [access, plans] = await Promise.all([ask("/access"), ask("/plans")]);
  const listed = (plans.value?.items ?? []).toSorted((one, other) => one.deleted - other.deleted);
  const most = AT_ONCE * (1 + pagesMore(route));
  const shown = listed.slice(0, most);
  const usages = await Promise.all(shown.map((plan) => ask(`/plans/${seg(plan.plan)}/usage`)));
  usages.forEach(({ value }) => value && memory.sample(value.plan, value.total.held.sessions));
  return { access: access.value, plans, shown, usages, rest: listed.length - shown.length };
}

export function render({ access, plans, shown, usages, rest }, route, memory, now) {
  if (plans.failure) return [heading("Plans"), unsaid(plans.failure)];
  const more = pagesMore(route);
  return [
    heading("Plans", h("p", { class: "lead" }, shown.length ? "What all namespaces of a plan use together, in its present period." : "")),
    shown.length ? h("div", { class: "cards" }, shown.map((plan, index) => card(plan, usages[index], now))) : nothing(access),
    !access.allPlans && shown.length > 0 && h("p", { class: "note" }, "Your token may read the plans that are listed here; there may be others."),
    rest > 0 && h("p", { class: "more" }, link(`/?more=${more + 1}`, `Show ${Math.min(rest, AT_ONCE)} more of ${plural(rest, "plan")}`)),
  ];
}

function card(plan, usage, now) {
  return h(
    "article",
    { class: "card", "data-key": plan.plan },
    h("header", {}, h("h2", {}, link(`/plans/${seg(plan.plan)}`, plan.plan)), planBadges(plan)),
    usage.failure ? unsaid(usage.failure) : tiles(usage.value.total, plan.period, plan.currency, now, "in total"),
    h(
      "footer",
      {},
      usage.value && h("span", {}, plural(usage.value.tenants, "tenant")),
      h("span", {}, "pool ", link(`/keys?pool=${seg(plan.pool)}`, plan.pool)),
      h("span", {}, `${periodName(plan.period)}, ${percent(periodGone(plan.period, now))} gone`),
    ),
  );
}

function nothing(access) {
  if (access.allPlans) return sentence("There is no plan yet.", "A MistralVoicePlan says who may talk how much; kubectl explain mistralvoiceplan.spec tells its fields.");
  return h(
    "div",
    {},
    h(
      "div",
      { class: "sentence", "data-kind": "denied" },
      h("strong", {}, "Your token may not read any plan's usage"),
      h("p", {}, `${access.user} needs the right “get mistralvoiceplans/usage”, of the whole cluster or for a plan by its name. Who holds the cluster-wide role view has it.`),
      access.namespace !== null && h("p", {}, "What your own namespace uses you may see if you may read its integrations: ", link(`/namespaces/${seg(access.namespace)}`, access.namespace), "."),
    ),
    command("Let somebody read the usage of all plans", "kubectl create clusterrole voice-usage --verb=get --resource=mistralvoiceplans.voice.contractspec.io/usage,mistralkeypools.voice.contractspec.io/status\nkubectl create clusterrolebinding voice-usage --clusterrole=voice-usage --serviceaccount=NAMESPACE:NAME", "For an administrator of the cluster:"),
  );
}
