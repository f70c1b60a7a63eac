"""A plan: what it says to the operator, the broker and the ledger alike."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mistral_voice.contract.lease import Unit
from mistral_voice.contract.v1alpha1.plan import (
    Enforcement,
    ModelKind,
    Period,
    PlanSpecification,
    Price,
    StopPolicy,
    micro_units,
    parse_plan,
)
from tests.unit.contract.v1alpha1.plans import PRICES, plan_spec

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MODEL = "mistral-medium-latest"


def plan(**changes: Any) -> PlanSpecification:
    found = parse_plan(plan_spec(**changes))
    assert isinstance(found, PlanSpecification), found
    return found


def faults(**changes: Any) -> list[tuple[str, str]]:
    found = parse_plan(plan_spec(**changes))
    assert isinstance(found, list), "it was accepted"
    return [(fault.path, fault.message) for fault in found]


def book(*prices: dict[str, Any]) -> dict[str, Any]:
    return {"currency": "EUR", "prices": [*prices]}


def test_what_is_left_out_has_a_default() -> None:
    found = plan()
    assert (found.period, found.stop_policy, found.enforcement) == (Period.MONTH, StopPolicy.NONE, Enforcement.ENFORCE)
    assert (found.quantum_seconds, found.offline_grace_seconds) == (30, 60)
    assert found.models.transcription == ("voxtral-mini-transcribe-realtime-latest",)
    assert found.models.speech == ("voxtral-mini-tts-latest",)
    assert (found.total, found.per_integration, found.voices) == (None, None, None)


def test_the_ledger_gets_whole_micro_units() -> None:
    assert plan().limits.spend_micro_units == 250_000_000
    assert [micro_units(text) for text in ("0", "0.000001", "12.5", "999999999999.999999")] == [0, 1, 12_500_000, 999_999_999_999_999_999]
    assert plan(limits={"concurrentSessions": 1}).limits.spend_micro_units is None


@given(st.integers(0, 10**18 - 1))
def test_no_micro_unit_is_lost_between_text_and_ledger(amount: int) -> None:
    assert micro_units(f"{amount // 1_000_000}.{amount % 1_000_000:06}") == amount


@pytest.mark.parametrize("text", ["-1", "1e3", ".5", "1.", "1,5", "0.0000001", "", " 1", "1 ", "NaN", "١"])
def test_what_is_no_plain_decimal_number_is_no_amount(text: str) -> None:
    [(path, _)] = faults(limits={"spendPerPeriod": text})
    assert path == "spec.limits.spendPerPeriod"


def test_limits_without_a_figure_are_refused_wherever_they_stand() -> None:
    for place in ("limits", "perIntegration", "total"):
        [(path, sentence)] = faults(**{place: {}})
        assert path == f"spec.{place}"
        assert "limit nothing" in sentence


def test_zero_is_a_limit() -> None:
    assert plan(limits={"concurrentSessions": 0}).limits.concurrent_sessions == 0


def test_a_price_holds_from_midnight_utc_until_the_next_takes_its_place() -> None:
    dearer = PRICES[0] | {"from": "2026-11-22", "price": "0.50"}
    prices = plan(priceBook=book(dearer, *PRICES)).price_book

    def price(moment: datetime) -> str | None:
        found = prices.price_at(MODEL, Unit.INPUT_TOKENS, moment)
        return None if found is None else found.price

    midnight = datetime(2026, 11, 22, tzinfo=UTC)
    assert price(midnight - timedelta(microseconds=1)) == "0.40"
    assert price(midnight) == price(midnight + timedelta(days=400)) == "0.50"
    assert price(datetime(2026, 11, 22, 1, tzinfo=timezone(timedelta(hours=2)))) == "0.40", "it is still the 21st in UTC"
    assert price(datetime(2025, 12, 31, 23, 59, tzinfo=UTC)) is None


def test_an_unknown_model_or_unit_has_no_price() -> None:
    prices = plan().price_book
    assert prices.price_at("mistral-large-latest", Unit.INPUT_TOKENS, NOW) is None
    assert prices.price_at(MODEL, Unit.CHARACTERS, NOW) is None


@given(st.integers(0, 2**40), st.integers(0, 10**9), st.integers(1, 10**9))
def test_a_cost_is_rounded_up_to_the_micro_unit(amount: int, price: int, quantity: int) -> None:
    text = f"{price // 1_000_000}.{price % 1_000_000:06}"
    cost = Price.model_validate(PRICES[0] | {"price": text, "quantity": quantity}).cost(amount)
    assert (cost - 1) * quantity < amount * price <= cost * quantity


def test_each_allowed_model_needs_the_prices_of_its_use() -> None:
    assert plan().unpriced(NOW) == ()
    more = plan(models={"chat": [MODEL, "mistral-large-latest"], "speech": ["other-tts"]}, priceBook=book(*PRICES[1:]))
    assert more.unpriced(NOW) == (
        (MODEL, Unit.INPUT_TOKENS),
        ("mistral-large-latest", Unit.INPUT_TOKENS),
        ("mistral-large-latest", Unit.OUTPUT_TOKENS),
        ("other-tts", Unit.CHARACTERS),
    )
    assert len(plan().unpriced(datetime(2025, 1, 1, tzinfo=UTC))) == 4


def test_two_prices_for_the_same_day_model_and_unit_are_refused() -> None:
    [(path, sentence)] = faults(priceBook=book(*PRICES, PRICES[0] | {"price": "9"}))
    assert path == "spec.priceBook"
    assert "two entries" in sentence


@pytest.mark.parametrize(
    "day",
    [
        "2026-11-31",
        "2027-02-29",
        "2026-11-1",
        "2026-13-01",
        "20261101",
        "0000-01-01",
        "2026-11-01T00:00:00Z",
        "2026-11-01\n",
        "",
        0,
        -0.0,
        [],
        None,
    ],
)
def test_what_is_no_day_is_refused(day: object) -> None:
    [(path, _)] = faults(priceBook=book(PRICES[0] | {"from": day}, *PRICES[1:]))
    assert path == "spec.priceBook.prices.0.from"


def test_models_are_allowed_for_their_use_alone() -> None:
    models = plan().models
    assert models.allow(ModelKind.CHAT, MODEL)
    assert not models.allow(ModelKind.SPEECH, MODEL)
    assert not models.allow(ModelKind.CHAT, "mistral-medium")


def test_voices_are_any_or_those_listed() -> None:
    assert plan().allows_voice("voice_1")
    listed = plan(voices=["voice_1"])
    assert listed.allows_voice("voice_1")
    assert not listed.allows_voice("voice_2")
    [(path, sentence)] = faults(voices=["voice_1", "default"])
    assert path == "spec.voices.1"
    assert "name that voice's id" in sentence


@pytest.mark.parametrize("left_out", ["namespaceSelector", "poolRef", "models", "limits", "priceBook"])
def test_what_decides_about_keys_and_money_must_be_said(left_out: str) -> None:
    assert faults(**{left_out: None}) == [(f"spec.{left_out}", "Field required")]


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_nothing_that_a_server_may_send_raises(anything: object) -> None:
    assert isinstance(parse_plan(anything), list)
