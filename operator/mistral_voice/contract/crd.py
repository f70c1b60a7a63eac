"""Writes the CustomResourceDefinitions from the models: `python -m mistral_voice.contract.crd`.

Kubernetes takes structural schemas only (no `$ref`, no `null` branch, no `additionalProperties` beside `properties`), so Pydantic's JSON
Schema is flattened. Source: "Extend the Kubernetes API with CustomResourceDefinitions", section on structural schemas.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from mistral_voice.contract import names
from mistral_voice.contract.v1alpha1.base import ResourceModel
from mistral_voice.contract.v1alpha1.integration import MistralVoiceIntegration
from mistral_voice.contract.v1alpha1.plan import MistralVoicePlan
from mistral_voice.contract.v1alpha1.pool import MistralKeyPool

_HEADER = "# Generated from the models by `make generate`. Do not edit.\n"
_RENAMED = {"ge": "minimum", "le": "maximum"}
"""Pydantic leaves its own words where a constraint follows a validator."""
_DROPPED = frozenset({"title", "$defs", "additionalProperties", "propertyNames"})


def crds() -> tuple[dict[str, Any], ...]:
    """Return all CustomResourceDefinitions."""
    return integration_crd(), plan_crd(), pool_crd()


def integration_crd() -> dict[str, Any]:
    """Return the CustomResourceDefinition of MistralVoiceIntegration."""
    definition = _Definition(names.KIND, names.PLURAL, names.SHORT_NAME, MistralVoiceIntegration, namespaced=True)
    return definition.crd(
        selectable=(".spec.mode", ".spec.secretRef.name", ".spec.planRef.name"),
        scale={
            "specReplicasPath": ".spec.gateway.replicas",
            "statusReplicasPath": ".status.gateway.replicas",
            "labelSelectorPath": ".status.selector",
        },
        columns=(
            _column("Mode", ".spec.mode", "Who owns the Mistral key."),
            _column("Model", ".spec.config.model", "Chat model."),
            _condition_column("Ready", "Ready", "status", "Whether clients get a healthy endpoint."),
            _condition_column("Reason", "Ready", "reason", "Why it is ready or not."),
            _column("Connection", ".status.connection.status", "State of the connection to Mistral."),
            _column("Plan", ".spec.planRef.name", "With mode managed: the plan that is claimed.", priority=1),
            _column("Endpoint", ".status.gateway.endpoints[0].url", "Address of the Realtime protocol.", priority=1),
            _condition_column("Message", "Ready", "message", "Why, in a sentence.", priority=1),
        ),
    )


def plan_crd() -> dict[str, Any]:
    """Return the CustomResourceDefinition of MistralVoicePlan."""
    return _Definition(names.PLAN_KIND, names.PLAN_PLURAL, "mvplan", MistralVoicePlan).crd(
        selectable=(".spec.poolRef.name", ".spec.stopPolicy"),
        columns=(
            _column("Pool", ".spec.poolRef.name", "The pool whose keys serve the plan."),
            _column("Period", ".spec.period", "The window in which seconds and spend are counted."),
            _column("Sessions", ".spec.limits.concurrentSessions", "Sessions at the same time that a namespace may have.", "integer"),
            _column("Spend", ".spec.limits.spendPerPeriod", "What a namespace may spend in the period."),
            _column("Currency", ".spec.priceBook.currency", "Currency of all amounts.", priority=1),
            _column("Stop", ".spec.stopPolicy", "Whether the plan admits sessions."),
            _column("Enforcement", ".spec.enforcement", "What happens at a limit.", priority=1),
            _condition_column("Ready", "Ready", "status", "Whether sessions can be admitted, their limits apart."),
            _condition_column("Reason", "Ready", "reason", "Why it is ready or not."),
            _condition_column("Message", "Ready", "message", "Why, in a sentence.", priority=1),
        ),
    )


def pool_crd() -> dict[str, Any]:
    """Return the CustomResourceDefinition of MistralKeyPool."""
    return _Definition(names.POOL_KIND, names.POOL_PLURAL, "mvpool", MistralKeyPool).crd(
        selectable=(".spec.region",),
        columns=(
            _column("Region", ".spec.region", "Where Mistral serves the keys."),
            _column("Active", ".status.activeKeys", "Keys that take new sessions.", "integer"),
            _condition_column("Ready", "Ready", "status", "Whether the pool has an active key."),
            _condition_column("Reason", "Ready", "reason", "Why it is ready or not."),
            _condition_column("Message", "Ready", "message", "Why, in a sentence.", priority=1),
        ),
    )


@dataclass(frozen=True)
class _Definition:
    kind: str
    plural: str
    short_name: str
    model: type[BaseModel]
    namespaced: bool = False

    def crd(self, *, selectable: Sequence[str], columns: Sequence[dict[str, Any]], scale: dict[str, str] | None = None) -> dict[str, Any]:
        schema = structural_schema(self.model)
        schema["properties"] = {
            "apiVersion": {"type": "string", "description": f"Version of the API, {names.API_VERSION}."},
            "kind": {"type": "string", "description": f"{self.kind}."},
            "metadata": {"type": "object"},
            **schema["properties"],
        }
        version = {
            "name": names.VERSION,
            "served": True,
            "storage": True,
            "schema": {"openAPIV3Schema": schema},
            "subresources": {"status": {}, **({} if scale is None else {"scale": scale})},
            "selectableFields": [{"jsonPath": path} for path in selectable],
            "additionalPrinterColumns": [*columns, {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}],
        }
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{self.plural}.{names.GROUP}"},
            "spec": {
                "group": names.GROUP,
                "scope": "Namespaced" if self.namespaced else "Cluster",
                "names": {
                    "kind": self.kind,
                    "listKind": f"{self.kind}List",
                    "plural": self.plural,
                    "singular": self.kind.lower(),
                    "shortNames": [self.short_name],
                    "categories": ["mistral-voice"],
                },
                "versions": [version],
            },
        }


def structural_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return a model's schema in the form that a CustomResourceDefinition takes, with the models' rules as CEL."""
    document = model.model_json_schema(by_alias=True)
    rules = {cls.__name__: cls.rules for cls in _models(ResourceModel)}
    flattened: dict[str, Any] = _flatten(document, document.get("$defs", {}), rules, model.__name__)
    return flattened


def _models(base: type[ResourceModel]) -> Iterator[type[ResourceModel]]:
    for cls in base.__subclasses__():
        yield cls
        yield from _models(cls)


def _flatten(node: Any, definitions: dict[str, Any], rules: dict[str, Any], model: str | None = None) -> Any:
    if isinstance(node, list):
        return [_flatten(item, definitions, rules) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        name = node["$ref"].rsplit("/", 1)[-1]
        return _flatten({**definitions[name], **{k: v for k, v in node.items() if k != "$ref"}}, definitions, rules, name)
    if "anyOf" in node:
        return _flatten_choice(node, definitions, rules)
    return _flatten_plain(node, definitions, rules, model)


def _flatten_choice(node: dict[str, Any], definitions: dict[str, Any], rules: dict[str, Any]) -> Any:
    branches = [branch for branch in node["anyOf"] if branch.get("type") != "null"]
    outer = {key: value for key, value in node.items() if key != "anyOf"}
    if len(branches) == 1:
        return _flatten({**branches[0], **outer}, definitions, rules)
    # The one choice that structural schemas know is integer or string.
    constraints = {key: value for branch in branches for key, value in branch.items() if key != "type"}
    types = [{"type": branch["type"]} for branch in branches]
    return {**_flatten({**constraints, **outer}, definitions, rules), "anyOf": types}


def _flatten_plain(node: dict[str, Any], definitions: dict[str, Any], rules: dict[str, Any], model: str | None) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in node.items():
        if key == "properties":
            flat[key] = {name: _flatten(child, definitions, rules) for name, child in value.items()}
        elif key == "additionalProperties" and isinstance(value, dict):
            flat[key] = _flatten(value, definitions, rules)
        elif key == "default":
            if value is not None:
                flat[key] = {} if isinstance(value, dict) else value
        elif key in _RENAMED:
            flat[_RENAMED[key]] = value
        elif key == "const":
            flat["enum"] = [value]
        elif key == "description":
            flat[key] = " ".join(value.split())
        elif key not in _DROPPED:
            flat[key] = _flatten(value, definitions, rules) if isinstance(value, dict | list) else value
    if model is not None and rules.get(model):
        flat["x-kubernetes-validations"] = [*flat.get("x-kubernetes-validations", []), *(rule.as_schema() for rule in rules[model])]
    return flat


def _column(name: str, path: str, description: str, kind: str = "string", priority: int = 0) -> dict[str, Any]:
    column: dict[str, Any] = {"name": name, "type": kind, "jsonPath": path, "description": description}
    return {**column, "priority": priority} if priority else column


def _condition_column(name: str, condition: str, part: str, description: str, priority: int = 0) -> dict[str, Any]:
    return _column(name, f'.status.conditions[?(@.type=="{condition}")].{part}', description, priority=priority)


def render(crd: dict[str, Any]) -> str:
    """Return a CustomResourceDefinition as YAML with the line that says it is generated."""
    return _HEADER + yaml.safe_dump(crd, sort_keys=False, width=140, allow_unicode=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Write the CRDs below the given folders, or with `--check` only tell whether they are up to date."""
    parser = argparse.ArgumentParser(description="Write the CustomResourceDefinitions from the models.")
    parser.add_argument("folders", nargs="*", type=Path, default=[Path("crds"), Path("charts/mistral-voice-operator/files/crds")])
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a file is missing or differs")
    options = parser.parse_args(argv)
    stale = []
    for folder in options.folders:
        for crd in crds():
            path = folder / f"{crd['metadata']['name']}.yaml"
            text = render(crd)
            if path.exists() and path.read_text() == text:
                continue
            stale.append(path)
            if not options.check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
    if options.check and stale:
        sys.stderr.write(f"{', '.join(map(str, stale))}: not what the models say. Run `make generate` and commit the result.\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
