"""What is exported of one integration, from the facts and the status that follows from them. Pure."""

from collections.abc import Mapping
from typing import Any

from mistral_voice.contract.vocabulary import ConnectionStatus
from mistral_voice.controller.health.thresholds import Verdict
from mistral_voice.controller.input import Input, UnresolvedCredential
from mistral_voice.controller.managed.health import platform_health
from mistral_voice.controller.metrics import IntegrationFigures
from mistral_voice.controller.reasons import ConditionType


def figures_of(known: Input, status: Mapping[str, Any]) -> IntegrationFigures:
    """Return the series of one integration. A check that has not told yet, or has no key, has none."""
    conditions = {condition["type"]: condition for condition in status.get("conditions", ())}
    health = known.health
    ready = conditions.get(ConditionType.READY, {})
    healthy, cause = _platform_health(known) if known.managed else _checked_health(known)
    return IntegrationFigures(
        namespace=known.namespace,
        integration=known.name,
        mode=known.spec.mode.value if known.spec is not None else "",
        model=known.spec.config.model if known.spec is not None else "",
        plan=known.spec.plan_ref.name if known.spec is not None and known.spec.plan_ref is not None else "",
        ready=ready.get("status") == "True",
        ready_reason="" if ready.get("status") == "True" else ready.get("reason", ""),
        probe_success=healthy,
        probe_reason=cause,
        probe_duration_seconds=health.last.latency_ms / 1000 if health.last is not None else None,
        probe_last_success_timestamp_seconds=health.last_success_at.timestamp() if health.last_success_at is not None else None,
    )


def _checked_health(known: Input) -> tuple[bool | None, str]:
    health = known.health
    if health.verdict is Verdict.UNKNOWN or isinstance(known.credential, UnresolvedCredential):
        return None, ""
    return health.verdict is Verdict.HEALTHY, health.code.value if health.verdict is Verdict.UNHEALTHY and health.code is not None else ""


def _platform_health(known: Input) -> tuple[bool | None, str]:
    found = platform_health(known.platform)
    if found.status is ConnectionStatus.UNKNOWN:
        return None, ""
    healthy = found.status is ConnectionStatus.CONNECTED
    return healthy, "" if healthy else found.reason.value
