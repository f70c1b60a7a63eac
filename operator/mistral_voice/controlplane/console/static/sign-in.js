// The way in: a token of one's Kubernetes identity, pasted.

import { h } from "./dom.js";
import { command } from "./parts.js";
import { AUDIENCE } from "./token.js";

export function render(problem) {
  return h(
    "section",
    { class: "sign-in", "aria-labelledby": "title" },
    h("img", { src: "icon.svg", alt: "", width: 52, height: 52 }),
    h("h1", { id: "title", tabindex: "-1" }, "Voice console"),
    h("p", { class: "lead" }, "Plans, tenants, sessions and keys of managed mode. You see what Kubernetes gives your identity the right to see."),
    h(
      "form",
      { "data-action": "sign-in", "data-key": "sign-in", novalidate: true },
      h("label", { for: "token" }, "Token"),
      h("input", { id: "token", name: "token", type: "password", autocomplete: "off", spellcheck: "false", required: true, placeholder: "eyJ…", "aria-describedby": "problem kept" }),
      h("p", { class: "error", id: "problem", role: "alert" }, problem),
      h("button", { type: "submit" }, "Sign in"),
      h("p", { class: "note", id: "kept" }, "It stays in this tab and is forgotten with it; it goes to the control plane alone, never into an address."),
    ),
    command("Where do I get one?", `kubectl create token NAME --namespace NAMESPACE \\\n  --audience ${AUDIENCE} --duration 8h`, "Of any ServiceAccount that has the rights. For a platform team those are of the cluster-wide role view; for a tenant, view of its namespace."),
  );
}
