"""Tickets are good for one line, for two minutes, at the broker that made them."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from mistral_voice.broker.tickets import SKEW_SECONDS, TICKET_SECONDS, Claims, TicketError, Tickets
from mistral_voice.contract.secret import Secret

NOW = 1_800_000_000
CLAIMS = Claims("line", "shop", "hello", "uid", "pod", "pod-uid", "sess_1", 1, NOW, NOW + TICKET_SECONDS)
TICKETS = Tickets()
TICKET = TICKETS.issue(CLAIMS).reveal()


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_a_ticket_says_what_it_was_made_for() -> None:
    assert TICKETS.check(TICKET, NOW) == CLAIMS


def test_a_ticket_is_worthless_at_another_broker() -> None:
    with pytest.raises(TicketError, match="not made by this broker"):
        Tickets().check(TICKET, NOW)


@pytest.mark.parametrize(
    ("at", "good"), [(-SKEW_SECONDS - 1, False), (-SKEW_SECONDS, True), (TICKET_SECONDS - 1, True), (TICKET_SECONDS, False)]
)
def test_a_ticket_has_its_time_whatever_the_clock_does(at: int, good: bool) -> None:
    if good:
        assert TICKETS.check(TICKET, NOW + at) == CLAIMS
    else:
        with pytest.raises(TicketError):
            TICKETS.check(TICKET, NOW + at)


def test_a_ticket_of_too_long_a_life_is_refused_even_if_we_made_it() -> None:
    long = TICKETS.issue(structs.replace(CLAIMS, exp=NOW + 3600)).reveal()
    with pytest.raises(TicketError):
        TICKETS.check(long, NOW)


@pytest.mark.parametrize(
    "header", [{"alg": "none"}, {"alg": "HS256", "typ": "JWT"}, {"typ": "JWT", "alg": "EdDSA"}, {"alg": "EdDSA", "jwk": {}}]
)
def test_no_other_algorithm_or_header_is_looked_at(header: dict[str, object]) -> None:
    _, body, signature = TICKET.split(".")
    for end in ("", signature):
        with pytest.raises(TicketError):
            TICKETS.check(f"{encoded(header)}.{body}.{end}", NOW)


def test_what_a_ticket_says_cannot_be_changed() -> None:
    head, _, signature = TICKET.split(".")
    other = encoded({"line": "other", "namespace": "bank", "iat": NOW, "exp": NOW + 60})
    with pytest.raises(TicketError):
        TICKETS.check(f"{head}.{other}.{signature}", NOW)


@given(st.text(max_size=300))
def test_no_text_is_a_ticket_and_none_breaks_the_check(text: str) -> None:
    for candidate in (text, f"{TICKET[:40]}{text}", f"{TICKET}{text}" if text else "."):
        with pytest.raises(TicketError):
            TICKETS.check(candidate, NOW)


def test_an_error_quotes_nothing_of_the_ticket() -> None:
    with pytest.raises(TicketError) as caught:
        TICKETS.check(TICKET, NOW + 1000)
    assert TICKET[-20:] not in str(caught.value)
    assert "Secret" in repr(Secret(TICKET))
