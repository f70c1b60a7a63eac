"""Compute resources that the API server would refuse."""

from mistral_voice.controller.build.resources import resources
from mistral_voice.controller.check.finding import Finding, invalid
from mistral_voice.controller.input import Input
from mistral_voice.controller.quantity import parse_quantity
from mistral_voice.controller.reasons import Reason


def resources_acceptable(known: Input) -> Finding | None:
    """Find requests above their limits."""
    given = resources(known.valid_spec.gateway.resources)
    requests = given["requests"]
    for name, limit in given.get("limits", {}).items():
        if name in requests and parse_quantity(requests[name]) > parse_quantity(limit):
            return invalid(
                Reason.INVALID_RESOURCES,
                f"spec.gateway.resources.requests.{name}",
                f"The request of {name}, {requests[name]}, is above its limit, {limit}.",
                "Lower the request or raise the limit, and apply the resource again.",
            )
    return None
