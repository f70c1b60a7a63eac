"""Plans and pools as people write them."""

from typing import Any

PRICES: list[dict[str, Any]] = [
    {"from": "2026-01-01", "model": "mistral-medium-latest", "unit": "inputTokens", "price": "0.40"},
    {"from": "2026-01-01", "model": "mistral-medium-latest", "unit": "outputTokens", "price": "2.00"},
    {
        "from": "2026-01-01",
        "model": "voxtral-mini-transcribe-realtime-latest",
        "unit": "audioMs",
        "price": "0.008",
        "quantity": 60000,
    },
    {"from": "2026-01-01", "model": "voxtral-mini-tts-latest", "unit": "characters", "price": "13"},
]


def plan_spec(**changes: Any) -> dict[str, Any]:
    """Return the spec of a plan with some fields changed; None leaves a field out."""
    spec: dict[str, Any] = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "support"}},
        "poolRef": {"name": "main"},
        "models": {"chat": ["mistral-medium-latest"]},
        "limits": {"concurrentSessions": 10, "sessionSecondsPerPeriod": 360000, "spendPerPeriod": "250.00"},
        "priceBook": {"currency": "EUR", "prices": PRICES},
    } | changes
    return {name: value for name, value in spec.items() if value is not None}


def pool_spec(**changes: Any) -> dict[str, Any]:
    """Return the spec of a pool with some fields changed."""
    return {
        "keys": [
            {"name": "first", "secretRef": {"name": "mistral-first"}},
            {"name": "second", "secretRef": {"name": "mistral-second"}, "weight": 2, "rateLimitDomain": "workspace-b"},
        ]
    } | changes
