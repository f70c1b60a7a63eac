"""Checks: an ordered chain of pure functions, each of which finds one thing or nothing. Their order is that of the issues."""

from collections.abc import Iterable
from typing import Final

from mistral_voice.controller.check.children import child_names_free, children_accepted, children_writable
from mistral_voice.controller.check.connection import (
    connection_blocks_calls,
    connection_healthy,
    connection_troubled,
    connection_unknown,
    probe_warnings,
)
from mistral_voice.controller.check.credential import credential_clean, credential_resolves
from mistral_voice.controller.check.exposure import backend_tls_known, exposure_acceptable, gateway_api_installed
from mistral_voice.controller.check.finding import Check, Finding
from mistral_voice.controller.check.integration import endpoint_listed, mode_installed, name_usable
from mistral_voice.controller.check.plan import model_in_plan, plan_granted, platform_serves, policy_in_plan, voice_in_plan
from mistral_voice.controller.check.pod_template import template_acceptable
from mistral_voice.controller.check.policy import policy_consistent
from mistral_voice.controller.check.resources import resources_acceptable
from mistral_voice.controller.check.rollout import pods_start
from mistral_voice.controller.check.scaling import drain_within_patience, replicas_counted, target_within_limit
from mistral_voice.controller.check.secrets import certificate_present, own_token_usable
from mistral_voice.controller.input import Input
from mistral_voice.controller.reasons import ConditionType, Reason

__all__ = ["Finding", "check", "valid"]

ALWAYS: Final[tuple[Check, ...]] = (name_usable,)
"""Checks that need no spec."""

OF_THE_SPEC: Final[tuple[Check, ...]] = (
    mode_installed,
    endpoint_listed,
    plan_granted,
    model_in_plan,
    voice_in_plan,
    template_acceptable,
    resources_acceptable,
    gateway_api_installed,
    exposure_acceptable,
    own_token_usable,
    certificate_present,
    child_names_free,
    children_accepted,
    children_writable,
    credential_resolves,
    connection_healthy,
    platform_serves,
    pods_start,
    connection_troubled,
    connection_unknown,
    credential_clean,
    target_within_limit,
    replicas_counted,
    drain_within_patience,
    policy_consistent,
    backend_tls_known,
)
"""Checks that need a spec that could be parsed."""


def check(known: Input) -> tuple[Finding, ...]:
    """Return all findings about an integration."""
    found = [Finding(issue, ConditionType.CONFIG_VALID, Reason.INVALID_SPEC) for issue in known.spec_issues]
    found += [finding for test in ALWAYS if (finding := test(known)) is not None]
    if known.spec is not None:
        found += [finding for test in OF_THE_SPEC if (finding := test(known)) is not None]
        found += probe_warnings(known)
        found += policy_in_plan(known)
    blocked = connection_blocks_calls(known)  # What follows from the others comes after them.
    return tuple(found) if blocked is None else (*found, blocked)


def valid(findings: Iterable[Finding]) -> bool:
    """Tell whether the configuration can be carried out."""
    return not any(finding.invalidates for finding in findings)
