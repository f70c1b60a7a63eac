// The page: who is signed in, which view the address names, and keeping it fresh.

import { asking, Failure, fetched } from "./api.js";
import { show } from "./dom.js";
import { clock, span } from "./format.js";
import * as keys from "./keys.js";
import { Memory } from "./memory.js";
import * as namespace from "./namespace.js";
import { link, sentence, seg } from "./parts.js";
import * as plan from "./plan.js";
import * as plans from "./plans.js";
import { render as signIn } from "./sign-in.js";
import { claims, forget, keep, kept, reason } from "./token.js";

const EVERY_MS = 5_000;
const SOON_MS = 10 * 60_000;
const VIEWS = new Map([["", plans], ["plans", plan], ["keys", keys], ["namespaces", namespace]]);
const $ = (id) => document.getElementById(id);
const main = $("main");

let memory = new Memory();
let token = kept();
let seen = null; // { route, view, data, at }
let paused = false;
let timer = 0;
let loading = new AbortController();
let greeted = false;

function routeOf(hash) {
  const [path, search] = hash.replace(/^#\/?/, "").split("?");
  const [area = "", ...rest] = path.split("/");
  let name = null;
  try {
    name = rest.length && rest.join("/") ? decodeURIComponent(rest.join("/")) : null;
  } catch {
    name = rest.join("/");
  }
  return { area, name, query: new URLSearchParams(search ?? ""), path };
}

const viewOf = (route) => (route.area === "plans" && route.name === null ? plans : VIEWS.get(route.area));

function addressed(route, changes) {
  const query = new URLSearchParams(route.query);
  for (const [name, value] of Object.entries(changes)) value ? query.set(name, value) : query.delete(name);
  const text = query.toString();
  return `#/${route.path}${text ? `?${text}` : ""}`;
}

function say(text) {
  $("news").textContent = text;
}

function state(name, text) {
  $("state").dataset.state = name;
  $("state").firstElementChild.textContent = text;
}

function banner(text) {
  if ($("banner").textContent !== text) $("banner").textContent = text;
  $("banner").hidden = !text;
}

function frame(route) {
  const links = [["", "Plans", "/"], ["namespaces", "Namespaces", "/namespaces"], ["keys", "Keys", "/keys"]];
  const here = route.area === "plans" ? "" : route.area;
  show($("nav"), links.map(([area, name, path]) => link(path, name, { "aria-current": area === here ? "page" : null })));
  const { expiresAt } = claims(token);
  const left = expiresAt === null ? Infinity : expiresAt - Date.now();
  $("who").textContent = left < SOON_MS ? `token expires in ${span(left)}` : "";
}

function draw() {
  if (seen === null) return;
  try {
    frame(seen.route);
    show(main, seen.view.render(seen.data, seen.route, memory, Date.now()));
  } catch (fault) {
    broken(fault);
  }
}

// A fault of the page's own: told to whoever looks, and to the browser's console.
function broken(fault) {
  reportError(fault);
  seen = null;
  state("lost", "Not shown");
  show(main, sentence("This page can't be shown.", "The console can't read what the control plane told it. Reload the page: the control plane may have another version by now."));
}

function signOut(problem) {
  loading.abort();
  clearTimeout(timer);
  forget();
  token = "";
  seen = null;
  memory = new Memory();
  $("top").hidden = true;
  banner("");
  document.title = "Sign in – Voice console";
  document.body.dataset.view = "sign-in";
  show(main, signIn(problem));
  $("token").focus();
}

// Loads what the address names. `moved` is true when a person went there, false when it is only made fresh.
async function load(moved) {
  clearTimeout(timer);
  loading.abort();
  if (!token) return signOut("");
  const mine = (loading = new AbortController());
  const route = routeOf(location.hash);
  const view = viewOf(route);
  $("top").hidden = false;
  document.body.dataset.view = "in";
  frame(route);
  if (view === undefined) {
    seen = null;
    show(main, sentence("There is no such page.", "The links above lead to those that there are."));
    return undefined;
  }
  if (moved) main.setAttribute("aria-busy", "true");
  try {
    const data = await view.load(asking(token, mine.signal), route, memory);
    if (mine.signal.aborted) return undefined;
    const elsewhere = seen === null || seen.route.path !== route.path;
    seen = { route, view, data, at: Date.now() };
    banner("");
    state(paused ? "off" : "on", `${paused ? "Paused" : "Live"} · ${clock(seen.at)} UTC`);
    draw();
    arrived(elsewhere);
  } catch (failure) {
    if (mine.signal.aborted) return undefined;
    if (failure.kind === "token") return signOut(reason(token, Date.now()) || failure.message);
    if (failure instanceof Failure) lost(failure, route);
    else broken(failure);
  } finally {
    if (loading === mine) {
      main.removeAttribute("aria-busy");
      again();
    }
  }
  return undefined;
}

function again() {
  clearTimeout(timer);
  if (token && !paused && !document.hidden) timer = setTimeout(() => load(false), EVERY_MS);
}

function arrived(elsewhere) {
  document.title = `${$("title")?.textContent ?? "Console"} – Voice console`;
  if (!elsewhere) return;
  scrollTo(0, 0);
  if (greeted) $("title")?.focus({ preventScroll: true });
  greeted = true;
}

// What was seen stays, with the word that it is old.
function lost(failure, route) {
  state("lost", "Not connected");
  if (seen !== null && seen.route.path === route.path) {
    banner(`${failure.message} What you see is of ${clock(seen.at)} UTC; the page tries again every few seconds.`);
  } else {
    banner(`${failure.message} The page tries again every few seconds.`);
    seen = null;
    show(main, sentence("Nothing can be shown yet.", "It appears by itself as soon as the control plane answers."));
  }
}

async function enter(form) {
  const given = form.elements.token.value.trim().replace(/^Bearer\s+/i, "");
  const problem = $("problem");
  const button = form.querySelector("button");
  if (!given) {
    problem.textContent = "Paste a token first.";
    return;
  }
  problem.textContent = "";
  button.disabled = true;
  try {
    const access = await fetched("/access", given, new AbortController().signal);
    const address = access.allPlans || location.hash.slice(2) ? "" : await home(access, given);
    token = given;
    keep(token);
    form.reset();
    if (address) history.replaceState(null, "", address);
    show(main);
    state("wait", "Loading");
    greeted = true;
    load(true);
  } catch (failure) {
    problem.textContent = (failure.kind === "token" && reason(given, Date.now())) || failure.message;
    form.elements.token.focus();
  } finally {
    button.disabled = false;
  }
}

// Who may read no plan begins with the namespace of their own.
async function home(access, given) {
  const listed = await fetched("/plans", given, new AbortController().signal);
  return listed.items.length || access.namespace === null ? "" : `#/namespaces/${seg(access.namespace)}`;
}

function go(changes) {
  memory.atFirstPages();
  const address = addressed(routeOf(location.hash), changes);
  if (address === location.hash) load(true);
  else location.hash = address;
}

const CLICKS = {
  refresh: () => load(true).then(() => say("Refreshed.")),
  "sign-out": () => signOut(""),
  skip: () => main.focus(),
  pause: (button) => {
    paused = !paused;
    button.setAttribute("aria-pressed", String(paused));
    load(true);
  },
  sort: (button) => go({ sort: button.dataset.value }),
  unfilter: () => go({ namespace: "", integration: "", event: "" }),
  next: (button) => {
    memory.next(button.dataset.table, button.dataset.value);
    load(true);
  },
  previous: (button) => {
    memory.previous(button.dataset.table);
    load(true);
  },
  copy: async (button) => {
    try {
      await navigator.clipboard.writeText(button.dataset.value);
      say("Copied.");
      button.dataset.copied = "yes";
      setTimeout(() => delete button.dataset.copied, 1500);
    } catch {
      getSelection().selectAllChildren(button.previousElementSibling);
      say("The browser doesn't let the page copy: the command is selected.");
    }
  },
};

const SUBMITS = {
  "sign-in": enter,
  find: (form) => go({ find: form.elements.find.value.trim() }),
  filter: (form) => go(Object.fromEntries(["namespace", "integration", "event"].map((name) => [name, form.elements[name]?.value.trim()]))),
  go: (form) => (location.hash = `#/namespaces/${seg(form.elements.namespace.value.trim())}`),
  form: () => {},
};

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-action], a[data-action]");
  if (button === null) return;
  event.preventDefault();
  CLICKS[button.dataset.action]?.(button);
});

document.addEventListener("submit", (event) => {
  event.preventDefault();
  SUBMITS[event.target.dataset.action]?.(event.target);
});

document.addEventListener("change", (event) => {
  if (event.target.dataset.action === "order") go({ sort: event.target.value });
  else if (event.target.name === "event") event.target.form.requestSubmit();
});

document.addEventListener("input", (event) => {
  if (event.target.form?.dataset.action !== "form") return;
  memory.forms.set(event.target.name, event.target.value);
  draw();
});

addEventListener("hashchange", () => {
  if (seen === null || seen.route.path !== routeOf(location.hash).path) memory.atFirstPages();
  load(true);
});
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : token && !paused && load(false)));

load(true);
