"""When an integration is visited again although nothing tells of a change. Pure."""

from datetime import datetime
from zlib import crc32

from mistral_voice.controller.check.exposure import gateway_api_installed
from mistral_voice.controller.check.secrets import own_token_usable
from mistral_voice.controller.input import Input, UnresolvedCredential
from mistral_voice.controller.memory import Memory
from mistral_voice.controller.rollout import rolled_out
from mistral_voice.controller.status import next_change

SHORTEST_WAIT_SECONDS = 0.05
"""The shortest wait between two visits."""
LEAVING_POLL_SECONDS = 5.0
"""How often a name is looked at again that a former integration's object still bears: its token Secret is not watched."""
POD_POLL_SECONDS = 10.0
"""Pods are not watched: while a roll-out is under way, they are looked at this often."""
OTHERS_POLL_SECONDS = 30.0
"""How often what is not watched is looked at again: a name that is taken, a Secret that is named and absent, a refusal."""


def next_visit(known: Input, memory: Memory, now: datetime) -> float | None:
    """Return in how many seconds to come again after a visit that left these facts, or None if only a change gives reason to."""
    waits = []
    if isinstance(known.credential, UnresolvedCredential):
        waits.append(memory.credential_retry_seconds)
    elif memory.target is not None and memory.running_check is None:
        if memory.next_check_at is not None:
            waits.append((memory.next_check_at - now).total_seconds())
        elif known.credential is not None:
            waits.append(SHORTEST_WAIT_SECONDS)  # The check that ran was of a former spec, and counts for nothing.
    if known.granted_plan is not None:
        # No health check comes by, which would notice a client token that is gone.
        waits.append(known.valid_spec.health_check.interval_seconds * _spread(known.uid))
    if _rolling(known):
        waits.append(POD_POLL_SECONDS)
    if any(taken.leaving for taken in known.taken):
        waits.append(LEAVING_POLL_SECONDS)
    if _waits_for_others(known):
        waits.append(OTHERS_POLL_SECONDS)
    change = next_change(known)
    if change is not None:
        waits.append((change - now).total_seconds())
    return max(SHORTEST_WAIT_SECONDS, min(waits)) if waits else None


def _spread(uid: str) -> float:
    """Return a factor around 1, by 20 %, that is an integration's own: after a restart not all come at once."""
    return 0.8 + 0.4 * crc32(uid.encode()) / 2**32


def _rolling(known: Input) -> bool:
    # Before its controller has seen it a Deployment has no pods to look at, and the watch tells when it has.
    deployment = known.deployment
    return deployment is not None and deployment.observed_generation > 0 and not rolled_out(deployment)


def _waits_for_others(known: Input) -> bool:
    if known.taken or known.absent_secrets or known.refused is not None:
        return True
    return known.spec is not None and (own_token_usable(known) is not None or gateway_api_installed(known) is not None)
