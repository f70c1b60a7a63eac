// Pools: the state of each key, by the key's name. Neither values nor Secrets are known here.

import { query } from "./api.js";
import { addKey, retireKey } from "./commands.js";
import { h } from "./dom.js";
import { number, plural, span } from "./format.js";
import { badge, command, crumbs, heading, link, listing, PAGE, pager, seg, sentence, unsaid, when } from "./parts.js";
import { parts } from "./plots.js";

const STATES = { Active: "good", Probing: "info", Draining: "warn", Quarantined: "bad", Retired: "off" };
const REASONS = { auth: "refused by Mistral", rate: "rate limit", billing: "account can't pay" };

const EVENTS = {
  KeyAdded: ["Key added", "info"],
  KeyActive: ["Key active", "good"],
  KeyQuarantined: ["Key quarantined", "bad"],
  KeyRotated: ["Key rotated", "info"],
  KeyDraining: ["Key draining", "warn"],
  KeyRetired: ["Key retired", "off"],
  KeyRemoved: ["Key removed", "off"],
};

export async function load(ask, route, memory) {
  const wanted = route.query.get("pool");
  const happened = wanted && ask(`/pools/${seg(wanted)}/audit${query({ cursor: memory.cursor("audit"), limit: PAGE })}`);
  const [access, pools, audit] = await Promise.all([ask("/access"), ask("/pools"), happened]);
  return { access: access.value, pools, audit };
}

export function render({ access, pools, audit }, route, memory, now) {
  if (pools.failure) return [heading("Keys"), unsaid(pools.failure)];
  const wanted = route.query.get("pool");
  const items = pools.value.items.filter((pool) => !wanted || pool.pool === wanted);
  const title = [wanted && crumbs(link("/keys", "Keys"), wanted), heading(wanted ? `Keys of ${wanted}` : "Keys", h("p", { class: "lead" }, "By name and state; their values lie in Secrets that only brokers may read."))];
  if (items.length) return [title, items.map((pool) => section(pool, memory, now, wanted)), audit && happenings(audit, memory, now), !access.allPools && h("p", { class: "note" }, "Your token may read the pools that are listed here; there may be others.")];
  if (access.allPools) return [title, sentence(wanted ? `There is no pool ${wanted}.` : "There is no pool yet.", "A MistralKeyPool names the Secrets of the platform's keys.")];
  return [title, h("div", { class: "sentence", "data-kind": "denied" }, h("strong", {}, wanted ? `Your token may not read the pool ${wanted}` : "Your token may not read any pool's status"), h("p", {}, `${access.user} needs the right “get mistralkeypools/status”, of the whole cluster or for a pool by its name.`))];
}

function state(key, now) {
  const until = key.until && Date.parse(key.until) > now ? `, ${span(Date.parse(key.until) - now)} left` : "";
  return [badge(key.state, STATES[key.state]), key.reason && h("small", {}, ` ${REASONS[key.reason] ?? key.reason}${until}`)];
}

function happenings(audit, memory, now) {
  const columns = [
    { name: "At (UTC)", cell: (entry) => when(entry.at, now) },
    { name: "Event", cell: (entry) => badge(...(EVENTS[entry.event] ?? [entry.event])) },
    { name: "What", cell: (entry) => entry.message },
  ];
  const page = audit.value;
  return h(
    "section",
    { class: "panel", "data-key": "happened" },
    h("h2", {}, "What happened"),
    audit.failure
      ? unsaid(audit.failure)
      : [listing({ caption: "What happened to the keys, the latest first", columns, items: page.items, keyOf: (entry) => String(entry.id), empty: "Nothing that is kept yet." }), pager(memory, "audit", page, ["Newer", "Older"])],
  );
}

function section(pool, memory, now, wanted) {
  const counts = Object.keys(STATES).map((name) => ({ name, count: pool.keys.filter((key) => key.state === name).length }));
  const ago = (at) => (at ? h("span", { title: at }, `${span(now - Date.parse(at))} ago`) : "never");
  const columns = [
    { name: "Key", cell: (key) => h("strong", {}, key.name) },
    { name: "State", cell: (key) => state(key, now) },
    { name: "What is known", cell: (key) => key.message || "–" },
    { name: "Rate-limit domain", cell: (key) => key.rateLimitDomain },
    { name: "Weight", numeric: true, cell: (key) => String(key.weight) },
    { name: "Sessions", numeric: true, cell: (key) => number(key.sessions) },
    { name: "Looked at", numeric: true, cell: (key) => ago(key.probedAt) },
    { name: "In this state", numeric: true, cell: (key) => (key.changedAt ? span(now - Date.parse(key.changedAt)) : "–") },
  ];
  const tell = counts.filter((some) => some.count).map((some) => `${some.count} ${some.name.toLowerCase()}`).join(", ") || "no keys";
  return h(
    "section",
    { class: "panel pool", "data-key": pool.pool },
    h("header", {}, h("h2", { class: "name" }, link(`/keys?pool=${seg(pool.pool)}`, pool.pool)), badge(pool.region), badge(`${pool.activeKeys} of ${plural(pool.keys.length, "key")} active`, pool.activeKeys ? "good" : "bad")),
    h("figure", { class: "states" }, parts(counts), h("figcaption", {}, tell)),
    pool.activeKeys === 0 && h("p", { class: "notice", "data-kind": "bad" }, "No key of this pool takes a session: its plans refuse new ones."),
    listing({ caption: `Keys of the pool ${pool.pool}`, columns, items: pool.keys, keyOf: (key) => key.name, empty: "This pool has no keys." }),
    changes(pool, memory),
    !wanted && h("p", { class: "note" }, link(`/keys?pool=${seg(pool.pool)}`, "What happened to these keys")),
  );
}

function changes(pool, memory) {
  const field = (name, label, standard) => {
    const key = `${name}-${pool.pool}`;
    return [memory.form(key, standard), h("label", {}, label, h("input", { name: key, value: memory.form(key, standard), autocomplete: "off", spellcheck: "false" }))];
  };
  const [key, keyField] = field("key", "Name of the new key", `key-${pool.keys.length + 1}`);
  const [secret, secretField] = field("secret", "Its Secret", `mistral-${key}`);
  const [space, spaceField] = field("space", "Namespace of the pools", "NAMESPACE");
  return h(
    "details",
    { class: "changes" },
    h("summary", {}, "Add or retire a key"),
    h("form", { class: "filters", "data-action": "form" }, keyField, secretField, spaceField),
    command("Add a key", addKey(pool.pool, key, secret, space), "It is looked at first; as soon as it is Active it takes new sessions. To rotate, retire the old one then."),
    pool.keys.map((item, index) => {
      const retired = item.state === "Draining" || item.state === "Retired";
      return command(retired ? `Use ${item.name} again` : `Retire ${item.name}`, retireKey(pool.pool, index, item.name, !retired), retired ? null : "New sessions take other keys; those that hold it keep it until they end.");
    }),
  );
}
