"""Paces roll-outs that only an upgrade of the operator causes: at most N gateways at once are replaced, the others wait for their turn."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from mistral_voice.controller.check.finding import Finding
from mistral_voice.controller.gather import Visit
from mistral_voice.controller.metrics import OperatorMetrics
from mistral_voice.controller.observed import rolled_out
from mistral_voice.controller.pacing import needs_turn
from mistral_voice.kube.objects import ObjectKey


class Rollouts:
    """Gives out the turns. `enqueue` is told which integration may go when another is through."""

    def __init__(self, pace: int, enqueue: Callable[[ObjectKey], None], metrics: OperatorMetrics) -> None:
        self._pace = pace
        self._enqueue = enqueue
        self._metrics = metrics
        self._under_way: set[ObjectKey] = set()
        self._waiting: dict[ObjectKey, None] = {}

    def considered(self, visit: Visit, findings: Sequence[Finding]) -> Visit:
        """Return the visit with the facts saying whether this integration's roll-out may begin now, given what the checks found."""
        key, known = visit.key, visit.known
        needed = needs_turn(known, findings)
        if key in self._under_way and known.deployment is not None and rolled_out(known.deployment) and not needed:
            self._leave(key)
        if not needed:
            self._waiting.pop(key, None)
            allowed = True
        elif key in self._under_way or len(self._under_way) < self._pace:
            self._waiting.pop(key, None)
            self._under_way.add(key)
            allowed = True
        else:
            self._waiting[key] = None
            allowed = False
        self._metrics.rollouts_pending.set(len(self._waiting))
        return visit if allowed == known.rollout_allowed else replace(visit, known=replace(known, rollout_allowed=allowed))

    def forget(self, key: ObjectKey) -> None:
        """Drop an integration that is gone, and its turn."""
        self._waiting.pop(key, None)
        self._leave(key)
        self._metrics.rollouts_pending.set(len(self._waiting))

    def _leave(self, key: ObjectKey) -> None:
        if key in self._under_way:
            self._under_way.discard(key)
            following = next(iter(self._waiting), None)
            if following is not None:
                self._enqueue(following)
