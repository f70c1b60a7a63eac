"""Numbers of tokens, as Mistral counts them."""

MOST_TOKENS = 100_000_000
"""No request costs more: what is told beyond it, or below nothing, is an error, and would break the counters."""


def token_count(told: int | None) -> int:
    """Return a number of tokens that can be: 0 if none is told."""
    return min(max(told or 0, 0), MOST_TOKENS)
