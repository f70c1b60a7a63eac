"""Which Kubernetes Events a change of status deserves. Pure. The plain creation of an integration deserves none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mistral_voice.controller.input import Input, ResolvedCredential
from mistral_voice.controller.reasons import ConditionType
from mistral_voice.controller.status.times import wire_time

_LONGEST_NOTE = 1024


@dataclass(frozen=True)
class Notice:
    """One Event about the integration. `action` is what the operator did or saw, in one word."""

    type: Literal["Normal", "Warning"]
    reason: str
    note: str
    action: str


_GOOD_WHEN_TRUE: Sequence[ConditionType] = (
    ConditionType.CONFIG_VALID,
    ConditionType.CREDENTIAL_RESOLVED,
    ConditionType.HEALTHY,
    ConditionType.GATEWAY_AVAILABLE,
    ConditionType.WITHIN_QUOTA,
)
_EXPECTED_AT_FIRST = frozenset({"NoPodsReady", "NotDeployed", "NotChecked", "NotLookedUp", "Suspended", "ScaledToZero"})
"""Reasons that belong to an ordinary life; they deserve no warning."""


def events_for(known: Input, status: Mapping[str, Any], *, first: bool) -> list[Notice]:
    """Return the Events for a status that is being written in place of `known.previous`.

    `first` tells that this pass created the gateway. A condition that turns false warns, with its reason; one that turns true again is told
    once; so are a changed key and a connection that changes its status (ContractSpec's `integration.connection.statusChanged`).
    """
    before = {name: (condition.status, condition.reason) for name, condition in known.previous.conditions.items()}
    after = {entry["type"]: entry for entry in status["conditions"]}
    notices = []
    for condition_type in _GOOD_WHEN_TRUE:
        if condition_type not in after:
            continue
        notice = _turn(condition_type, before.get(condition_type), after[condition_type], first=first)
        if notice is not None:
            notices.append(notice)
    notices += _connection_change(known, status)
    notices += _rotation(known)
    if before.get(ConditionType.READY, ("True", ""))[0] != "True" and after[ConditionType.READY]["status"] == "True":
        notices.append(Notice("Normal", "Ready", "Clients get a healthy endpoint.", "Observe"))
    return notices


def _turn(condition_type: ConditionType, before: tuple[str, str] | None, after: Mapping[str, Any], *, first: bool) -> Notice | None:
    if before == (after["status"], after["reason"]):
        return None
    if after["status"] == "False" and after["reason"] not in _EXPECTED_AT_FIRST:
        return Notice("Warning", after["reason"], _note(after["message"]), "Observe")
    if after["status"] == "False" and after["reason"] in {"Suspended", "ScaledToZero"} and before is not None and not first:
        return Notice("Normal", after["reason"], _note(after["message"]), "Scale")
    recovered = after["status"] == "True" and before is not None and before[0] == "False" and before[1] not in _EXPECTED_AT_FIRST
    if recovered:
        return Notice("Normal", f"{condition_type.value}Again", _note(after["message"]), "Observe")
    return None


def _connection_change(known: Input, status: Mapping[str, Any]) -> list[Notice]:
    old, new = known.previous.connection.get("status"), status["connection"]["status"]
    if not isinstance(old, str) or old in (new, "unknown"):
        return []
    return [Notice("Normal", "ConnectionStatusChanged", f"The connection to Mistral changed from {old[:40]} to {new}.", "Check")]


def _rotation(known: Input) -> list[Notice]:
    credential = known.credential
    if not isinstance(credential, ResolvedCredential) or credential.rotated_at is None:
        return []
    told = known.previous.credential.get("lastRotatedAt")
    if told == wire_time(credential.rotated_at):
        return []
    return [Notice("Normal", "KeyRotated", "The key in the Secret changed; gateways use the new one within two minutes.", "Check")]


def _note(message: str) -> str:
    return message if len(message) <= _LONGEST_NOTE else message[: _LONGEST_NOTE - 1] + "…"
