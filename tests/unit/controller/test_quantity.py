"""Quantities as Kubernetes writes them."""

from decimal import Decimal

import pytest

from mistral_voice.controller.quantity import parse_quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("100m", "0.1"),
        ("0.5", "0.5"),
        (".5", "0.5"),
        ("5.", "5"),
        (2, "2"),
        ("192Mi", "201326592"),
        ("1k", "1000"),
        ("1E", "1e18"),
        ("0", "0"),
    ],
)
def test_quantity(text: str | int, value: str) -> None:
    assert parse_quantity(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "m", "1x", "1e3", "1.2.3", "٣", "--1", "Mi"])
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        parse_quantity(text)
