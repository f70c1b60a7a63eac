"""Compute resources of the gateway container: what the tenant gives, and defaults that fit to it."""

from typing import Any, Final

from mistral_voice.contract.v1alpha1.pod import ResourceRequirements
from mistral_voice.controller.quantity import parse_quantity

DEFAULT_REQUESTS: Final = {"cpu": "100m", "memory": "192Mi"}
"""No CPU limit by default: throttling ruins the latency of voices."""


def resources(given: ResourceRequirements | None) -> dict[str, Any]:
    """Return the container's resources. A default request never exceeds a given limit, which the API server would refuse."""
    chosen: dict[str, dict[str, Any]] = {} if given is None else given.model_dump(mode="json", by_alias=True, exclude_none=True)
    limits = chosen.get("limits", {})
    requests = {**{name: _at_most(amount, limits.get(name)) for name, amount in DEFAULT_REQUESTS.items()}, **chosen.get("requests", {})}
    return {"requests": requests, **({"limits": limits} if limits else {})}


def _at_most(amount: str, limit: str | int | None) -> str | int:
    return amount if limit is None or parse_quantity(amount) <= parse_quantity(limit) else limit
