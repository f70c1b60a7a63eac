"""The truth table: what each condition is, given the facts. `docs/conditions.md` explains it to readers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from mistral_voice.contract.vocabulary import ConnectionStatus, SecretErrorCode
from mistral_voice.controller.check.finding import Finding
from mistral_voice.controller.credential import source
from mistral_voice.controller.health.thresholds import Verdict
from mistral_voice.controller.input import Input, Refusal, ResolvedCredential, UnresolvedCredential
from mistral_voice.controller.managed.health import platform_health
from mistral_voice.controller.reasons import PROBE_REASONS_OF_THE_USER, ConditionType, Reason
from mistral_voice.controller.rollout import out_of_time, rolled_out, trouble
from mistral_voice.controller.status.times import wire_time

SECRET_GRACE: Final = timedelta(minutes=5)
"""How long a reference may lead nowhere before the integration counts as stalled."""

TRUE, FALSE, UNKNOWN = "True", "False", "Unknown"
_LONGEST_MESSAGE = 4096


@dataclass(frozen=True)
class Observation:
    """What one condition is. `generation` is that of the spec it was observed for, None for the present one."""

    status: str
    reason: str
    message: str
    generation: int | None = None


def conditions(known: Input, findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Return all conditions as status holds them, in their fixed order."""
    seen = observe(known, findings)
    return [_entry(known, condition_type, seen[condition_type]) for condition_type in ConditionType if condition_type in seen]


def observe(known: Input, findings: Sequence[Finding]) -> Mapping[ConditionType, Observation]:
    """Return what each condition is."""
    seen = {
        ConditionType.CONFIG_VALID: _config_valid(known, findings),
        ConditionType.CREDENTIAL_RESOLVED: _credential_resolved(known),
        ConditionType.HEALTHY: _healthy(known),
        ConditionType.GATEWAY_AVAILABLE: _gateway_available(known),
    }
    seen[ConditionType.READY] = _ready(known, seen)
    seen[ConditionType.STALLED] = _stalled(known, seen)
    seen[ConditionType.RECONCILING] = _reconciling(known, seen)
    if (usage := known.told_usage) is not None:
        seen[ConditionType.WITHIN_QUOTA] = _within_quota(usage)
    return seen


def unresolved_since(known: Input) -> datetime | None:
    """Return since when the reference leads to no key, or None if it does or is not looked up."""
    if not isinstance(known.credential, UnresolvedCredential):
        return None
    before = known.previous.conditions.get(ConditionType.CREDENTIAL_RESOLVED)
    if before is None or before.status != FALSE or before.last_transition_time is None:
        return known.now
    return min(before.last_transition_time, known.now)


def _config_valid(known: Input, findings: Sequence[Finding]) -> Observation:
    fault = next((finding for finding in findings if finding.invalidates), None)
    if fault is None or fault.reason is None:
        if known.refused is not None:
            return _not_applied(known.refused, UNKNOWN)
        return Observation(TRUE, Reason.VALID, "The configuration can be carried out.")
    place = f"{fault.issue.path}: " if fault.reason is Reason.INVALID_SPEC else ""
    return Observation(FALSE, fault.reason, f"{place}{fault.issue.message}")


def _credential_resolved(known: Input) -> Observation:
    if known.managed and known.granted_plan is None:
        return Observation(UNKNOWN, Reason.NOT_LOOKED_UP, "With mode managed there is no key of yours.")
    if known.managed:
        return Observation(TRUE, Reason.PROVIDED_BY_PLATFORM, "The platform's key is used; it never comes into this namespace.")
    credential = known.credential
    if isinstance(credential, UnresolvedCredential):
        status = UNKNOWN if credential.code is SecretErrorCode.UNKNOWN else FALSE
        return Observation(status, credential.reason, credential.sentence)
    if isinstance(credential, ResolvedCredential) and known.spec is not None and known.spec.secret_ref is not None:
        return Observation(TRUE, Reason.RESOLVED, f"{source(known.spec.secret_ref)} holds a key.")
    return _carried(known, ConditionType.CREDENTIAL_RESOLVED) or Observation(
        UNKNOWN, Reason.NOT_LOOKED_UP, "The key is not looked up while the spec is invalid."
    )


def _healthy(known: Input) -> Observation:
    if known.managed:
        return _healthy_platform(known)
    if known.spec is None:
        carried = _carried(known, ConditionType.HEALTHY)
        return carried or Observation(UNKNOWN, Reason.NOT_CHECKED, "Nothing is checked while the spec is invalid.")
    if isinstance(known.credential, UnresolvedCredential):
        return Observation(UNKNOWN, Reason.CREDENTIAL_UNRESOLVED, "There is no key to check with.")
    health = known.health
    if health.code is None:
        return Observation(UNKNOWN, Reason.NOT_CHECKED, "The connection to Mistral has not been checked yet.")
    status = {Verdict.HEALTHY: TRUE, Verdict.UNHEALTHY: FALSE, Verdict.UNKNOWN: UNKNOWN}[health.verdict]
    return Observation(status, Reason(health.code.value), health.message)


def _healthy_platform(known: Input) -> Observation:
    if known.platform is None:
        return Observation(UNKNOWN, Reason.NOT_CHECKED, "Nothing is checked for mode managed.")
    found = platform_health(known.platform)
    status = {ConnectionStatus.CONNECTED: TRUE, ConnectionStatus.UNKNOWN: UNKNOWN}.get(found.status, FALSE)
    return Observation(status, found.reason, found.sentence)


def _gateway_available(known: Input) -> Observation:
    deployment = known.deployment
    if deployment is None:
        return Observation(FALSE, Reason.NOT_DEPLOYED, "There is no gateway yet.")
    if known.spec is not None and known.spec.suspend:
        return Observation(FALSE, Reason.SUSPENDED, "The integration is suspended: set spec.suspend to false to serve again.")
    if deployment.ready_replicas > 0:
        return Observation(TRUE, Reason.PODS_READY, f"{deployment.ready_replicas} of {deployment.wanted_replicas} pods are ready.")
    if deployment.wanted_replicas == 0:
        return Observation(FALSE, Reason.SCALED_TO_ZERO, "The gateway is scaled to zero: no pod serves.")
    held_up = trouble(known)
    if held_up is not None:
        return Observation(FALSE, held_up.reason, held_up.message or "The pods don't get ready.")
    return Observation(FALSE, Reason.NO_PODS_READY, f"0 of {deployment.wanted_replicas} pods are ready.")


def _within_quota(usage: Mapping[str, Any]) -> Observation:
    exhausted = usage.get("exhausted")
    reason = exhausted.get("reason") if isinstance(exhausted, Mapping) else None
    if not isinstance(exhausted, Mapping) or reason not in (Reason.SECONDS_EXHAUSTED, Reason.SPEND_EXHAUSTED):
        return Observation(TRUE, Reason.QUOTA_LEFT, "The plan's limits of the period leave room for new sessions.")
    period = f"The period is {usage.get('period')}: new sessions are refused until it is over, or the platform team raises the limit."
    return Observation(FALSE, reason, f"{exhausted.get('message')} {period}")


def _ready(known: Input, seen: Mapping[ConditionType, Observation]) -> Observation:
    parts = [ConditionType.CONFIG_VALID, ConditionType.CREDENTIAL_RESOLVED, ConditionType.HEALTHY, ConditionType.GATEWAY_AVAILABLE]
    if known.spec is not None and known.spec.suspend:
        parts = [ConditionType.CONFIG_VALID, ConditionType.GATEWAY_AVAILABLE]
    for status in (FALSE, UNKNOWN):
        missing = next((seen[part] for part in parts if seen[part].status == status), None)
        if missing is not None:
            return Observation(status, missing.reason, missing.message)
    return Observation(TRUE, Reason.READY, "Clients get a healthy endpoint.")


def _not_applied(refused: Refusal, status: str) -> Observation:
    return Observation(status, Reason.APPLY_FAILED, f"The {refused.kind} {refused.name!r} could not be applied; it is tried again.")


def _stalled(known: Input, seen: Mapping[ConditionType, Observation]) -> Observation:
    config, healthy = seen[ConditionType.CONFIG_VALID], seen[ConditionType.HEALTHY]
    if config.status == FALSE:
        return Observation(TRUE, config.reason, config.message)
    credential, since = seen[ConditionType.CREDENTIAL_RESOLVED], unresolved_since(known)
    if credential.status == FALSE and since is not None and known.now - since >= SECRET_GRACE:
        return Observation(TRUE, credential.reason, credential.message)
    if healthy.status == FALSE and healthy.reason in PROBE_REASONS_OF_THE_USER:
        return Observation(TRUE, healthy.reason, healthy.message)
    held_up = trouble(known)
    serves = seen[ConditionType.GATEWAY_AVAILABLE].status == TRUE
    if held_up is not None and not serves and known.deployment is not None and out_of_time(known.deployment):
        return Observation(TRUE, held_up.reason, held_up.message or "The pods don't get ready.")
    return Observation(FALSE, Reason.AS_EXPECTED, "Nothing waits for a change of yours.")


def _reconciling(known: Input, seen: Mapping[ConditionType, Observation]) -> Observation:
    under_way = None if seen[ConditionType.STALLED].status == TRUE else _under_way(known, seen)
    return under_way or Observation(FALSE, Reason.AS_EXPECTED, "Nothing is under way.")


def _under_way(known: Input, seen: Mapping[ConditionType, Observation]) -> Observation | None:
    credential, healthy, deployment = seen[ConditionType.CREDENTIAL_RESOLVED], seen[ConditionType.HEALTHY], known.deployment
    leaving = next((taken for taken in known.taken if taken.leaving), None)
    if leaving is not None:
        return Observation(TRUE, Reason.CHILDREN_TERMINATING, f"The former {leaving.kind} {leaving.name!r} has to go first.")
    if known.refused is not None:
        return _not_applied(known.refused, TRUE)
    if credential.status != TRUE:
        return Observation(TRUE, credential.reason, credential.message)
    if not known.rollout_allowed:
        return Observation(TRUE, Reason.ROLLOUT_PENDING, "A new version of the gateway waits for its turn; the present one serves.")
    if deployment is None:
        return Observation(TRUE, Reason.ROLLING_OUT, "The gateway is being deployed.")
    if known.spec is not None and known.spec.suspend and deployment.replicas + deployment.terminating_replicas > 0:
        return Observation(TRUE, Reason.DRAINING, "Live sessions end, then no pod runs.")
    if not rolled_out(deployment):
        held_up = trouble(known)
        if held_up is not None:
            return Observation(TRUE, held_up.reason, held_up.message or "The pods don't get ready.")
        ready = f"{deployment.updated_replicas} of {deployment.wanted_replicas} pods are new, {deployment.ready_replicas} are ready."
        return Observation(TRUE, Reason.ROLLING_OUT, ready)
    if healthy.status == UNKNOWN:
        return Observation(TRUE, Reason.CHECKING, "The connection to Mistral is being checked.")
    return None


def _carried(known: Input, condition_type: ConditionType) -> Observation | None:
    before = known.previous.conditions.get(condition_type)
    if before is None or before.status not in (TRUE, FALSE, UNKNOWN) or before.reason not in frozenset(Reason):
        return None
    return Observation(before.status, before.reason, before.message, before.observed_generation)


def _entry(known: Input, condition_type: ConditionType, seen: Observation) -> dict[str, Any]:
    before = known.previous.conditions.get(condition_type)
    unchanged = before is not None and before.status == seen.status
    since = before.last_transition_time if before is not None and unchanged and before.last_transition_time is not None else known.now
    return {
        "type": condition_type.value,
        "status": seen.status,
        "reason": str(seen.reason),
        "message": seen.message[:_LONGEST_MESSAGE],
        "lastTransitionTime": wire_time(since),
        "observedGeneration": known.generation if seen.generation is None else seen.generation,
    }
