"""Which changes deserve an Event."""

from dataclasses import replace
from typing import Any

from mistral_voice.controller.check import check
from mistral_voice.controller.events import Notice, events_for
from mistral_voice.controller.health.result import ProbeCode
from mistral_voice.controller.health.thresholds import Health
from mistral_voice.controller.input import Input, ResolvedCredential
from mistral_voice.controller.previous import PreviousStatus, parse_status
from mistral_voice.controller.status import derive
from tests.unit.controller.given import MISSING, NOW, health, known


def status_of(state: Input) -> dict[str, Any]:
    return derive(state, check(state))


def events(before: Input | None, now: Input, *, first: bool = False) -> list[Notice]:
    previous = PreviousStatus() if before is None else parse_status(status_of(before))
    changed = replace(now, previous=previous)
    return events_for(changed, status_of(changed), first=first)


def reasons(before: Input | None, now: Input, *, first: bool = False) -> list[str]:
    return [notice.reason for notice in events(before, now, first=first)]


NEW = known(deployment=None, health=Health())
CREATED = known(deployment=replace(known().deployment, ready_replicas=0, replicas=0, updated_replicas=0))  # type: ignore[type-var]


def test_plain_creation_is_silent() -> None:
    assert events(None, NEW, first=True) == []
    assert events(None, CREATED, first=True) == []
    assert events(NEW, CREATED, first=True) == []


def test_becoming_ready_is_told_once() -> None:
    assert reasons(CREATED, known()) == ["Ready"]
    assert reasons(known(), known()) == []


def test_creation_that_can_not_be_carried_out_warns() -> None:
    [notice] = events(None, known(spec={"endpoint": "mars"}, deployment=None))
    assert (notice.type, notice.reason) == ("Warning", "UnknownEndpoint")


def test_key_that_mistral_refuses_warns_and_its_healing_is_told() -> None:
    refused = known(health=health(ProbeCode.UNAUTHORIZED))
    assert reasons(known(), refused) == ["Unauthorized", "ConnectionStatusChanged"]
    assert reasons(refused, known()) == ["HealthyAgain", "ConnectionStatusChanged", "Ready"]


def test_change_of_the_connection_names_both_states() -> None:
    notice = events(known(), known(health=health(ProbeCode.UNAUTHORIZED)))[-1]
    assert notice.note == "The connection to Mistral changed from connected to error."


def test_missing_secret_warns() -> None:
    assert reasons(known(), known(credential=MISSING)) == ["SecretNotFound", "ConnectionStatusChanged"]


def test_suspension_is_told() -> None:
    assert reasons(known(), known(spec={"suspend": True})) == ["Suspended"]


def test_changed_key_is_told_once() -> None:
    rotated = known(credential=ResolvedCredential(digest="d2", rotated_at=NOW))
    assert reasons(known(), rotated) == ["KeyRotated"]
    assert reasons(rotated, rotated) == []
