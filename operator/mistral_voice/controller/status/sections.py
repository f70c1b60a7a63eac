"""The parts of status beside the conditions: connection, credential, gateway, issues."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from mistral_voice.contract import names
from mistral_voice.contract.v1alpha1.spec import Exposure
from mistral_voice.contract.vocabulary import ConnectionStatus, KeyValidationStatus, Severity
from mistral_voice.controller.build.common import REALTIME_PATH, token_secret_name
from mistral_voice.controller.check.finding import Finding, bounded
from mistral_voice.controller.connection_status import connection_status
from mistral_voice.controller.credential import resolved_once, source
from mistral_voice.controller.health.result import ProbeCode
from mistral_voice.controller.health.thresholds import Verdict
from mistral_voice.controller.input import Input, ResolvedCredential, UnresolvedCredential
from mistral_voice.controller.managed.health import platform_health
from mistral_voice.controller.previous import parse_time
from mistral_voice.controller.status.times import to_the_hour, wire_time

STALE_AFTER: Final = timedelta(hours=24)
"""A key's validation that is older than this counts for nothing (ContractSpec's rule)."""
PLATFORM_SOURCE: Final = "platform"
"""How status names the place of a key that the tenant never sees."""
MAX_ISSUES: Final = 32
MAX_ENDPOINTS: Final = 32
_GRAVEST_FIRST: Final = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}
_HTTP_PORT = 80


def connection(known: Input) -> dict[str, Any]:
    """Return the connection in ContractSpec's health shape."""
    status, health, before = connection_status(known), known.health, known.previous.connection
    section: dict[str, Any] = {"status": status.value}
    if known.managed:
        return section | _trouble_of_platform(known)
    if known.spec is None or health.last is None or isinstance(known.credential, UnresolvedCredential):
        section |= _carried(before, {"checkedAt": str, "latencyMs": int})
    else:
        section |= {"checkedAt": wire_time(health.last.checked_at), "latencyMs": health.last.latency_ms}
    if known.spec is None:
        return section | _carried(before, {"errorCode": str, "errorMessage": str, "consecutiveFailures": int})
    if isinstance(known.credential, UnresolvedCredential):
        section |= {"errorCode": known.credential.code.value, "errorMessage": bounded(known.credential.sentence)}
    elif health.code is not None and status is not ConnectionStatus.CONNECTED:
        section |= {"errorCode": health.code.value, "errorMessage": bounded(health.message)}
    return section | ({"consecutiveFailures": health.consecutive_failures} if health.consecutive_failures else {})


def credential(known: Input) -> dict[str, Any]:
    """Return what is known of the key. Its source is named from the moment it first resolved."""
    before = known.previous.credential
    if known.spec is None:
        return _carried(before, {"source": str, "lastValidatedAt": str, "lastRotatedAt": str}) | {
            "validationStatus": _carried_validation(before)
        }
    if known.managed:
        serves = connection_status(known) is ConnectionStatus.CONNECTED
        return {"source": PLATFORM_SOURCE, "validationStatus": (KeyValidationStatus.VALID if serves else KeyValidationStatus.UNKNOWN).value}
    section: dict[str, Any] = {}
    same_source = False
    if known.spec.secret_ref is not None and resolved_once(known):
        section["source"] = source(known.spec.secret_ref)
        same_source = before.get("source") == section["source"]
    section["validationStatus"] = _validation(known, before if same_source else {}).value
    accepted_at = known.health.key_accepted_at
    if accepted_at is not None:
        section["lastValidatedAt"] = wire_time(to_the_hour(accepted_at))
    elif same_source:
        section |= _carried(before, {"lastValidatedAt": str})
    if isinstance(known.credential, ResolvedCredential) and known.credential.rotated_at is not None:
        section["lastRotatedAt"] = wire_time(known.credential.rotated_at)
    elif same_source:
        section |= _carried(before, {"lastRotatedAt": str})
    return section


def _trouble_of_platform(known: Input) -> dict[str, str]:
    found = platform_health(known.platform)
    if found.status not in (ConnectionStatus.ERROR, ConnectionStatus.DISCONNECTED):
        return {}
    return {"errorCode": found.reason.value, "errorMessage": bounded(found.sentence)}


def gateway(known: Input, *, config_valid: bool) -> dict[str, Any]:
    """Return the gateway's addresses and pods. While the configuration is invalid the last good addresses stand."""
    deployment, before = known.deployment, known.previous.gateway
    counts = {
        "replicas": deployment.replicas if deployment is not None else 0,
        "readyReplicas": deployment.ready_replicas if deployment is not None else 0,
    }
    if known.spec is None or not config_valid:
        endpoints = [_carried(entry, {"type": str, "url": str}) for entry in before.get("endpoints") or () if isinstance(entry, Mapping)]
        return {"endpoints": endpoints[:MAX_ENDPOINTS], **_carried(before, {"tokenSecretName": str}), **counts}
    return {"endpoints": endpoints_of(known), "tokenSecretName": token_secret_name(known), **counts}


def endpoints_of(known: Input) -> list[dict[str, str]]:
    """Return the addresses that clients connect to, the one inside the cluster first."""
    spec = known.valid_spec
    scheme = "ws" if spec.gateway.tls is None else "wss"
    host = f"{names.child_name(known.name)}.{known.namespace}.svc.{known.operator.cluster_domain}:{names.CLIENT_PORT}"
    inside = {"type": "Internal", "url": f"{scheme}://{host}{REALTIME_PATH}"}
    outside = [] if spec.gateway.expose is None else [{"type": "External", "url": url} for url in _external_urls(spec.gateway.expose)]
    return [inside, *outside][:MAX_ENDPOINTS]


def issues(findings: Sequence[Finding]) -> list[dict[str, str]]:
    """Return the findings in ContractSpec's form, the gravest first, each once."""
    ordered = sorted(dict.fromkeys(finding.issue for finding in findings), key=lambda issue: _GRAVEST_FIRST[issue.severity])
    return [
        {
            "code": issue.code,
            "severity": issue.severity.value,
            "path": bounded(issue.path, 256),
            "message": bounded(issue.message),
            "suggestion": bounded(issue.suggestion),
        }
        for issue in ordered[:MAX_ISSUES]
    ]


def _external_urls(expose: Exposure) -> list[str]:
    urls = []
    if expose.http_route is not None:
        # The listener decides; only a parent's port 80 shows here that it serves no TLS.
        scheme = "ws" if all(parent.port == _HTTP_PORT for parent in expose.http_route.parent_refs) else "wss"
        urls += [f"{scheme}://{host}{REALTIME_PATH}" for host in expose.http_route.hostnames or () if not host.startswith("*")]
    if expose.ingress is not None and not expose.ingress.host.startswith("*"):
        scheme = "ws" if expose.ingress.tls_secret_ref is None else "wss"
        urls.append(f"{scheme}://{expose.ingress.host}{REALTIME_PATH}")
    return list(dict.fromkeys(urls))


def _validation(known: Input, before: Mapping[str, Any]) -> KeyValidationStatus:
    health = known.health
    if isinstance(known.credential, UnresolvedCredential):
        return KeyValidationStatus.UNKNOWN
    if health.verdict is Verdict.UNHEALTHY and health.code is ProbeCode.UNAUTHORIZED:
        return KeyValidationStatus.INVALID
    accepted_at = health.key_accepted_at or parse_time(before.get("lastValidatedAt"))
    if accepted_at is None or known.now - accepted_at > STALE_AFTER:
        return KeyValidationStatus.UNKNOWN
    return KeyValidationStatus.VALID


def _carried_validation(before: Mapping[str, Any]) -> str:
    value = before.get("validationStatus")
    return value if value in frozenset(KeyValidationStatus) else KeyValidationStatus.UNKNOWN.value


def _carried(section: Mapping[str, Any], fields: Mapping[str, type]) -> dict[str, Any]:
    # Only what has the right form: what somebody wrote by hand must not keep a status from being written.
    return {name: section[name] for name, kind in fields.items() if type(section.get(name)) is kind}
