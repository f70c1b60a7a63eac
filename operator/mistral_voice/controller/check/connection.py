"""What the health checks found, as issues."""

from collections.abc import Iterator

from mistral_voice.contract.vocabulary import ConnectionStatus, Severity, ValidationCode
from mistral_voice.controller.check.finding import Finding, error, grave, warning
from mistral_voice.controller.connection_status import connection_status
from mistral_voice.controller.health.result import ProbeCode, WarningCode
from mistral_voice.controller.health.thresholds import Verdict
from mistral_voice.controller.input import Input, UnresolvedCredential
from mistral_voice.controller.reasons import ConditionType, Reason

_PLACES = {
    ProbeCode.UNAUTHORIZED: "spec.secretRef",
    ProbeCode.PERMISSION_DENIED: "spec.secretRef",
    ProbeCode.MODEL_NOT_FOUND: "spec.config.model",
    ProbeCode.MODEL_RETIRED: "spec.config.model",
    ProbeCode.MODEL_CANNOT_CHAT: "spec.config.model",
    ProbeCode.VOICE_NOT_FOUND: "spec.config.defaultVoice",
}

_SUGGESTIONS = {
    ProbeCode.UNAUTHORIZED: "Put a valid key into the Secret; it is taken within one check.",
    ProbeCode.PERMISSION_DENIED: "Give the key access to models, transcription, speech and chat in Mistral's console, or use another.",
    ProbeCode.MODEL_NOT_FOUND: "Name a chat model that your account has, such as mistral-medium-latest.",
    ProbeCode.MODEL_RETIRED: "Name a model that is not retired, such as mistral-medium-latest.",
    ProbeCode.MODEL_CANNOT_CHAT: "Name a chat model, such as mistral-medium-latest.",
    ProbeCode.TRANSCRIPTION_MODEL_NOT_FOUND: "Ask Mistral for access to realtime transcription, or choose another endpoint.",
    ProbeCode.SPEECH_MODEL_NOT_FOUND: "Ask Mistral for access to speech, or choose another endpoint.",
    ProbeCode.VOICE_NOT_FOUND: "Name a voice that your account has, or `default`.",
    ProbeCode.RATE_LIMITED: "Raise the limits of your Mistral workspace if this goes on.",
    ProbeCode.UPSTREAM_ERROR: "Wait: this is Mistral's. Its state is on status.mistral.ai.",
    ProbeCode.UPSTREAM_TIMEOUT: "Wait, or look at the way from the cluster to Mistral: proxies, firewalls.",
    ProbeCode.CONNECTION_FAILED: "Look at the way from the cluster to the endpoint: address, firewalls, network policies.",
    ProbeCode.TLS_ERROR: "Look at the endpoint's certificate and at its caBundle in the operator's list.",
    ProbeCode.NAME_NOT_RESOLVED: "Look at the endpoint's URL in the operator's list, and at the cluster's DNS.",
    ProbeCode.INVALID_ANSWER: "Look whether the endpoint's URL leads to Mistral's API, or to a proxy's page.",
}


_NOT_THE_TENANTS_VOICE = (
    "Ask who runs the operator: its `defaultVoice` is none that your account has. Or name a voice of your own in spec.config.defaultVoice."
)
_TROUBLES = frozenset(code.value for code in ProbeCode if code.trouble)
_WARNINGS = frozenset(code.value for code in WarningCode)


def connection_healthy(known: Input) -> Finding | None:
    """Find what keeps the connection from being healthy: a clear answer at once, trouble on the way after its threshold."""
    health = known.health
    if not _checked(known) or health.verdict is not Verdict.UNHEALTHY or health.code is None:
        return None
    code = health.code
    return error(
        ConditionType.HEALTHY,
        Reason(code.value),
        _PLACES.get(code, "spec.endpoint"),
        health.message,
        _NOT_THE_TENANTS_VOICE if code is ProbeCode.VOICE_NOT_FOUND and _takes_the_operators_voice(known) else _SUGGESTIONS.get(code, ""),
    )


def _takes_the_operators_voice(known: Input) -> bool:
    return known.valid_spec.config.default_voice == "default"


def connection_troubled(known: Input) -> Finding | None:
    """Find trouble that has not reached its threshold, and a rate limit, which never turns an integration red."""
    health = known.health
    if not _checked(known) or health.verdict is Verdict.UNHEALTHY:
        return None
    if health.last is None:
        return next(_told_before(known, _TROUBLES), None)
    if not health.last.code.trouble:
        return None
    return warning(health.last.code.value, "spec.endpoint", health.last.message, _SUGGESTIONS.get(health.last.code, ""))


def connection_blocks_calls(known: Input) -> Finding | None:
    """Tell that calls would fail, in ContractSpec's word."""
    if connection_status(known) not in (ConnectionStatus.ERROR, ConnectionStatus.DISCONNECTED):
        return None
    return grave(
        ValidationCode.CONNECTION_NOT_READY.value,
        "status.connection",
        "The connection to Mistral is not ready: sessions will fail.",
        "See the other issues; sessions work again as soon as their cause is gone.",
    )


def connection_unknown(known: Input) -> Finding | None:
    """Warn that nothing is known of the connection yet, in ContractSpec's word."""
    if connection_status(known) is not ConnectionStatus.UNKNOWN or (known.managed and known.granted_plan is None):
        return None
    if known.managed:
        return warning(
            ValidationCode.CONNECTION_STATUS_UNKNOWN.value,
            "status.connection",
            "The control plane has not told of the platform's keys yet.",
            "Wait; if this goes on, tell the platform team.",
        )
    return warning(
        ValidationCode.CONNECTION_STATUS_UNKNOWN.value,
        "status.connection",
        "The connection to Mistral has not been checked with this key and configuration yet.",
        "Wait for the first check.",
    )


def probe_warnings(known: Input) -> Iterator[Finding]:
    """Yield what works today and will not for ever."""
    if not _checked(known):
        return
    if known.health.last is None:
        yield from _told_before(known, _WARNINGS)
    for found in known.health.warnings:
        yield warning(found.code.value, found.path, found.message, found.suggestion)


def _told_before(known: Input, codes: frozenset[str]) -> Iterator[Finding]:
    # Until this process has checked for itself, what an earlier one found stands: a restart writes nothing.
    for told in known.previous.issues:
        code = told.get("code")
        if code in codes and told.get("severity") == Severity.WARNING:
            yield warning(str(code), *(str(told.get(part, "")) for part in ("path", "message", "suggestion")))


def _checked(known: Input) -> bool:
    return known.spec is not None and not known.managed and not isinstance(known.credential, UnresolvedCredential)
