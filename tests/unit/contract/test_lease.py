"""Messages of managed mode's wires."""

import msgspec
import pytest

from mistral_voice.contract import lease
from mistral_voice.contract.lease import (
    Amount,
    FromBroker,
    LeaseReport,
    MessageError,
    Moving,
    Open,
    Opened,
    Refusal,
    RefusalReason,
    Unit,
    Usage,
)


def test_what_a_broker_says_is_told_apart_by_its_type() -> None:
    for message in (
        Opened("ticket", 120, "10.0.0.1:8443"),
        Refusal(RefusalReason.SECONDS_EXHAUSTED, "The plan's minutes are used up.", 60),
        Moving(30),
    ):
        assert lease.decode(msgspec.json.encode(message), FromBroker) == message  # type: ignore[arg-type]  # a union is no class


def test_a_field_of_a_newer_version_is_passed_over() -> None:
    usage = b'{"sessionMs":5,"amounts":[{"model":"m","unit":"characters","amount":7}],"new":1}'
    raw = b'{"session":"s","epoch":1,"seq":2,"usage":' + usage + b',"new":2}'

    assert lease.decode(raw, LeaseReport) == LeaseReport("s", 1, 2, Usage(5, (Amount("m", Unit.CHARACTERS, 7),)))


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        (b'{"type":"open","session":"a b","epoch":1,"model":"m","voice":"v","transcriptionModel":"t","speechModel":"s"}', "$.session"),
        (b'{"type":"open","session":"a","epoch":0,"model":"m","voice":"v","transcriptionModel":"t","speechModel":"s"}', "$.epoch"),
        (b'{"type":"open"', "truncated"),
        (b"\xff", "can't be used"),
    ],
)
def test_a_message_that_cannot_be_used_is_refused_with_its_place(raw: bytes, place: str) -> None:
    with pytest.raises(MessageError, match=place.replace("$", r"\$")):
        lease.decode(raw, Open)


def test_usage_never_runs_backwards_below_nothing() -> None:
    with pytest.raises(MessageError, match="amount"):
        lease.decode(b'{"session":"s","epoch":1,"seq":0,"usage":{"amounts":[{"model":"m","unit":"characters","amount":-1}]}}', LeaseReport)
