"""Tokens that Mistral counts, and tokens that can't be."""

import pytest
from prometheus_client import CollectorRegistry, Counter

from mistral_voice.mistral.stream.token_count import MOST_TOKENS, token_count


@pytest.mark.parametrize(("told", "counted"), [(None, 0), (0, 0), (17, 17), (-5, 0), (10**400, MOST_TOKENS)])
def test_a_number_of_tokens_can_be_counted_whatever_is_told(told: int | None, counted: int) -> None:
    assert token_count(told) == counted
    Counter("tokens", "Tokens.", registry=CollectorRegistry()).inc(token_count(told))
