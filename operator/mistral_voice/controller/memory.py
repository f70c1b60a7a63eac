"""What this process remembers of an integration between two visits, and can do without after a restart."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime

from mistral_voice.controller.health.target import ProbeTarget
from mistral_voice.controller.health.thresholds import Health
from mistral_voice.controller.input import CredentialState
from mistral_voice.kube.objects import ObjectKey


@dataclass(slots=True)
class Memory:
    """Of one integration: `credential` and `health` as last found, for the generation of the spec that they were found for.

    `target` is what `health` is about. `next_check_at` is when the next health check is due. `credential_retry_seconds` grows while a
    reference can't be resolved. `running_check` is the health check under way, if one is. `vouched_for` tells that an earlier process left
    the integration in order and that this one has not visited it yet. `visited_at` is when the last visit began, by the wall clock.
    """

    uid: str
    generation: int = 0
    credential: CredentialState | None = None
    credential_retry_seconds: float = 0.0
    health: Health = field(default_factory=Health)
    target: ProbeTarget | None = None
    next_check_at: datetime | None = None
    running_check: asyncio.Task[None] | None = None
    vouched_for: bool = False
    visited_at: datetime | None = None

    def begin_visit(self, now: datetime) -> None:
        """Take note of a visit. If the wall clock was set back meanwhile, the check is due: else it would wait for the lost time again."""
        if self.visited_at is not None and now < self.visited_at:
            self.next_check_at = None
        self.visited_at = now

    def turn_to(self, generation: int) -> None:
        """Take note of the spec's generation. Another one may name another key, model or voice: they are looked at anew."""
        if self.generation != generation:
            self.generation, self.credential, self.next_check_at = generation, None, None
            self.credential_retry_seconds = 0.0


class Memories:
    """The memory of every integration by key."""

    def __init__(self) -> None:
        self._by_key: dict[ObjectKey, Memory] = {}

    def of(self, key: ObjectKey, uid: str) -> Memory | None:
        """Return the memory of this very integration, or None: a successor of the same name starts without."""
        memory = self._by_key.get(key)
        return memory if memory is not None and memory.uid == uid else None

    def keep(self, key: ObjectKey, memory: Memory) -> Memory:
        """Begin to remember."""
        self._by_key[key] = memory
        return memory

    def forget(self, key: ObjectKey) -> None:
        """Forget an integration that is gone."""
        self._by_key.pop(key, None)
