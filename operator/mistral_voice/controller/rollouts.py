"""Paces roll-outs that only an upgrade of the operator causes: at most N gateways at once are replaced, the others wait for their turn."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import islice

from mistral_voice.controller.build import Desired, without_rollout
from mistral_voice.controller.gather import Visit
from mistral_voice.controller.input import DeploymentState
from mistral_voice.controller.metrics import OperatorMetrics
from mistral_voice.controller.pacing import needs_turn
from mistral_voice.controller.rollout import out_of_time, rolled_out
from mistral_voice.kube.objects import ObjectKey


class Rollouts:
    """Gives out the turns. `enqueue` is told which integration may go when another is through."""

    def __init__(self, pace: int, enqueue: Callable[[ObjectKey], None], metrics: OperatorMetrics) -> None:
        self._pace = pace
        self._enqueue = enqueue
        self._metrics = metrics
        self._under_way: set[ObjectKey] = set()
        self._waiting: dict[ObjectKey, None] = {}

    def resume(self, keys: Iterable[ObjectKey]) -> None:
        """Count the roll-outs that an earlier process began and left under way, before any turn is given."""
        self._under_way.update(keys)

    def considered(self, visit: Visit, desired: Desired) -> tuple[Visit, Desired]:
        """Return the visit with the facts saying whether this roll-out may begin now, and what of the desired may be applied now."""
        key, known = visit.key, visit.known
        needed = needs_turn(known, desired)
        if key in self._under_way and not needed and _over(known.deployment):
            self._under_way.discard(key)
            self._call_the_next()
        if not needed:
            if key in self._waiting:
                del self._waiting[key]
                self._call_the_next()
            allowed = True
        elif key in self._under_way or len(self._under_way) < self._pace:
            self._waiting.pop(key, None)
            self._under_way.add(key)
            allowed = True
        else:
            self._waiting[key] = None
            allowed = False
        self._metrics.rollouts_pending.set(len(self._waiting))
        return (visit, desired) if allowed else (replace(visit, known=replace(known, rollout_allowed=False)), without_rollout(desired))

    def give_back(self, key: ObjectKey) -> None:
        """End the turn of a roll-out that could not begin. It asks for another when it is tried again: until then others may go."""
        if key in self._under_way:
            self._under_way.discard(key)
            self._call_the_next()

    def forget(self, key: ObjectKey) -> None:
        """Drop an integration that is gone or going, and its turn."""
        self._waiting.pop(key, None)
        self._under_way.discard(key)
        self._call_the_next()
        self._metrics.rollouts_pending.set(len(self._waiting))

    def _call_the_next(self) -> None:
        # Whoever was called and needs its turn no longer, or is gone, calls the next again: no turn is lost.
        for following in islice(self._waiting, max(0, self._pace - len(self._under_way))):
            self._enqueue(following)


def _over(deployment: DeploymentState | None) -> bool:
    # One that Kubernetes gave up gives its turn back, or a few broken gateways would hold up all others for ever. Its former pods serve on.
    return deployment is not None and (rolled_out(deployment) or out_of_time(deployment))
