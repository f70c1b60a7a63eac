"""Runs health checks beside the visits: a check that Mistral keeps waiting must not hold up the integration's children."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from mistral_voice.contract.secret import Secret
from mistral_voice.controller.gather import Visit
from mistral_voice.controller.health.result import ProbeResult
from mistral_voice.controller.health.schedule import next_check, shared_since
from mistral_voice.controller.health.sharing import SharedProbes
from mistral_voice.controller.health.target import ProbeTarget, probe_target
from mistral_voice.controller.health.thresholds import after
from mistral_voice.controller.input import Input
from mistral_voice.kube.objects import ObjectKey
from mistral_voice.runtime.redaction import Redactor

PATIENCE_SECONDS = 1.0
"""How long a visit waits for its check, so that one status tells of both; a slower check enqueues the integration when it is done."""
CROWDED_PATIENCE_SECONDS = 0.1
"""How long it waits where checks queue: workers that stood by a dead endpoint would be missing to all other integrations."""
AFTER_BREAKING_SECONDS = 60.0
"""How long until a check is tried again that broke by an error of ours."""

_log = logging.getLogger(__name__)


class HealthChecks:
    """Starts due checks and keeps their results in the integrations' memories. It owns its tasks: `close` it."""

    def __init__(
        self,
        probes: SharedProbes,
        enqueue: Callable[[ObjectKey], None],
        now: Callable[[], datetime],
        jitter: Callable[[], float],
        redactor: Redactor,
    ) -> None:
        self._probes = probes
        self._enqueue = enqueue
        self._now = now
        self._jitter = jitter
        self._redactor = redactor
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Cancel the checks that still run."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def begin(self, visit: Visit) -> None:
        """Start the check of an integration whose key was read in this visit, unless it is not due or one runs already."""
        memory, target = visit.memory, probe_target(visit.known)
        if visit.api_key is None or target is None or memory.running_check is not None:
            return
        due = memory.next_check_at
        if due is not None and self._now() < due:
            return
        task = memory.running_check = asyncio.create_task(self._check(visit, visit.api_key, target), name=f"health check of {visit.key}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def awaited(self, visit: Visit) -> Input:
        """Return the facts with what the check has found, if it is done in time; a later one enqueues the integration.

        The check may be one that an earlier visit began and did not see the end of, because it failed.
        """
        task = visit.memory.running_check
        if task is not None:
            await asyncio.wait({task}, timeout=self._patience_seconds(visit))
            if not task.done():
                task.add_done_callback(lambda done: None if done.cancelled() else self._enqueue(visit.key))
            elif not task.cancelled() and (error := task.exception()) is not None:
                _log.error("The health check broke; status tells what is known without it.", exc_info=error, extra=_names(visit))
                visit.memory.next_check_at = self._now() + timedelta(seconds=AFTER_BREAKING_SECONDS)
        return replace(visit.known, health=visit.memory.health, now=self._now())

    def _patience_seconds(self, visit: Visit) -> float:
        target = probe_target(visit.known)
        return CROWDED_PATIENCE_SECONDS if target is not None and self._probes.is_crowded(target) else PATIENCE_SECONDS

    async def _check(self, visit: Visit, api_key: Secret, target: ProbeTarget) -> None:
        memory = visit.memory
        interval = visit.known.valid_spec.health_check.interval_seconds
        oldest = shared_since(memory.health, memory.next_check_at, interval, visit.known.now)
        owner = f"key of {visit.key}"
        self._redactor.know(owner, [api_key])
        try:
            result = await self._probes.result(api_key, target, not_older_than=oldest)
        finally:
            memory.running_check = None
            self._redactor.know(owner, [])
        if memory.generation != visit.known.generation:
            return
        before, memory.health = memory.health.last, after(memory.health, result)
        memory.next_check_at = next_check(memory.health, interval, result.checked_at, self._jitter)
        if before is None or before.code is not result.code:
            self._tell(visit, result)

    def _tell(self, visit: Visit, result: ProbeResult) -> None:
        # Once for each change: status and metrics tell how long it lasts.
        if result.status != "connected":
            _log.warning("The health check failed: %s", result.message, extra={**_names(visit), "reason": result.code.value})


def _names(visit: Visit) -> dict[str, str]:
    return {"namespace": visit.key.namespace, "integration": visit.key.name}
