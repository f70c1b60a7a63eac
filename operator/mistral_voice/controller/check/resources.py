"""Compute resources that the API server would refuse."""

from mistral_voice.controller.build.resources import resources
from mistral_voice.controller.check.finding import Finding, invalid
from mistral_voice.controller.input import Input
from mistral_voice.controller.quantity import parse_quantity
from mistral_voice.controller.reasons import Reason

_PATH = "spec.gateway.resources"


def resources_acceptable(known: Input) -> Finding | None:
    """Find negative amounts, and requests above their limits."""
    given = resources(known.valid_spec.gateway.resources)
    requests, limits = given["requests"], given.get("limits", {})
    for part, amounts in (("requests", requests), ("limits", limits)):
        for name, amount in amounts.items():
            if parse_quantity(amount) < 0:
                return _refuse(f"{_PATH}.{part}.{name}", f"{name} is {amount}: an amount can't be negative.")
    for name, limit in limits.items():
        if name in requests and parse_quantity(requests[name]) > parse_quantity(limit):
            return _refuse(f"{_PATH}.requests.{name}", f"The request of {name}, {requests[name]}, is above its limit, {limit}.")
    return None


def _refuse(path: str, message: str) -> Finding:
    return invalid(Reason.INVALID_RESOURCES, path, message, "Correct the amount and apply the resource again.")
