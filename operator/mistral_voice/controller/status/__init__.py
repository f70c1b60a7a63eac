"""Status: derived from the facts by pure functions, and written only when its meaning changes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from mistral_voice.controller.build.common import selector_text
from mistral_voice.controller.build.token_secret import OVERLAP
from mistral_voice.controller.check import valid
from mistral_voice.controller.check.finding import Finding
from mistral_voice.controller.input import Input
from mistral_voice.controller.status.conditions import SECRET_GRACE, conditions, unresolved_since
from mistral_voice.controller.status.meaning import same_meaning
from mistral_voice.controller.status.sections import connection, credential, gateway, issues

__all__ = ["derive", "next_change", "same_meaning"]


def derive(known: Input, findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the whole status of an integration, given the facts and what the checks found in them."""
    status: dict[str, Any] = {
        "observedGeneration": known.generation,
        "conditions": conditions(known, findings),
        "connection": connection(known),
        "issues": issues(findings),
    }
    if not known.managed or known.platform is not None:
        status["credential"] = credential(known)
        status["gateway"] = gateway(known, config_valid=valid(findings))
        status["selector"] = selector_text(known.name)
    if (usage := known.told_usage) is not None:
        status["usage"] = dict(usage)  # What was told last stays until something else is told.
    return status


def next_change(known: Input) -> datetime | None:
    """Return when the same facts would read differently by the passage of time alone, or None if never.

    A validation of the key that grows too old is left to the health check, which comes many times before.
    """
    moments = []
    since = unresolved_since(known)
    if since is not None:
        moments.append(since + SECRET_GRACE)
    if known.token is not None and known.token.has_previous_token and known.token.rotated_at is not None:
        moments.append(known.token.rotated_at + OVERLAP)
    return min((moment for moment in moments if moment > known.now), default=None)
