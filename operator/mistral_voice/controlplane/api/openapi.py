"""The API's description (OpenAPI 3.1), made from the very tables and types that serve it."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from mistral_voice.contract.lease import CONTROL_PLANE_AUDIENCE
from mistral_voice.controlplane.api.answers import Problem
from mistral_voice.controlplane.api.operations import INTRODUCTION, Index, Introduction, Operation
from mistral_voice.controlplane.api.parameters import Parameter, Place

PATH: Final = "/api/v1/openapi.json"
_SCHEMAS: Final = "#/components/schemas/{name}"
_PROBLEMS: Final = {
    "400": "A parameter can't be used.",
    "401": "No token, or one that is not accepted.",
    "403": "RBAC doesn't give you the right to this.",
    "404": "There is nothing of this name.",
    "503": "The database or the API server doesn't answer at present.",
}


def description(operations: Sequence[Operation], indexes: Sequence[Index]) -> dict[str, Any]:
    """Return the description as plain JSON."""
    everything: list[Operation | Index | Introduction] = [INTRODUCTION, *indexes, *operations]
    kinds = {item.answer for item in everything if item.answer is not str} | {Problem}
    ordered = sorted(kinds, key=str)
    schemas, components = msgspec.json.schema_components(ordered, ref_template=_SCHEMAS)
    schema_of = dict(zip(ordered, schemas, strict=True))
    paths: dict[str, Any] = {}
    for item in everything:
        parameters = item.parameters if isinstance(item, Operation) else ()
        content = {"text/csv": {"schema": {"type": "string"}}} if item.answer is str else _json(schema_of[item.answer])
        problems = {
            status: {"description": text, "content": {"application/problem+json": {"schema": schema_of[Problem]}}}
            for status, text in _PROBLEMS.items()
        }
        if not isinstance(item, Operation):
            del problems["404"]
        if isinstance(item, Introduction):
            del problems["403"]
        paths[item.path] = {
            "get": {
                "operationId": item.name,
                "summary": item.summary,
                "parameters": [_parameter(parameter) for parameter in parameters],
                "responses": {"200": {"description": item.summary, "content": content}, **problems},
            }
        }
    return {
        "openapi": "3.1.0",
        "info": {"title": "mistral-voice control plane", "version": "1", "description": _ABOUT},
        "security": [{"kubernetes": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"kubernetes": {"type": "http", "scheme": "bearer", "description": _TOKEN}},
        },
    }


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place.value,
        "required": parameter.required or parameter.place is Place.PATH,
        "description": parameter.description,
        "schema": parameter.schema(),
    }


_ABOUT: Final = (
    "Managed mode's usage, quota, sessions, keys' states, audit, ledger and cost. It only reads. Times are RFC 3339 in UTC, durations "
    "milliseconds, money whole micro-units (millionths) of the plan's currency."
)
_TOKEN: Final = (
    f"A token of your Kubernetes identity for the audience {CONTROL_PLANE_AUDIENCE}. What it may see is what RBAC gives: "
    "get mistralvoiceplans/usage, get mistralvoiceintegrations in a namespace, get mistralkeypools/status."
)
