"""`metav1.Condition`: what is so of an object, since when, why.

The rules are those of the API conventions
(https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md#typical-status-properties).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from mistral_voice.kube.objects import KubeObject


class ConditionStatus(StrEnum):
    """A condition's value."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition. `reason` is one CamelCase word, `message` a sentence, `last_transition_time` when `status` last changed (UTC)."""

    type: str
    status: ConditionStatus
    reason: str
    message: str = ""
    observed_generation: int = 0
    last_transition_time: datetime | None = None

    def to_json(self) -> KubeObject:
        """Return the condition as it stands in a status."""
        since = self.last_transition_time or datetime.fromtimestamp(0, UTC)
        return {
            "type": self.type,
            "status": self.status.value,
            "reason": self.reason,
            "message": self.message,
            "observedGeneration": self.observed_generation,
            "lastTransitionTime": since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    @classmethod
    def from_json(cls, body: KubeObject) -> "Condition":
        """Return a condition read from a status. Raises `ValueError` if it is none."""
        try:
            since = datetime.fromisoformat(body["lastTransitionTime"]) if "lastTransitionTime" in body else None
            status = ConditionStatus(body["status"])
            generation = int(body.get("observedGeneration", 0))
            return cls(body["type"], status, body.get("reason", ""), body.get("message", ""), generation, since)
        except (KeyError, TypeError) as error:
            raise ValueError(f"This is not a condition, {error} is missing or wrong: {body!r}.") from error


def find_condition(conditions: Iterable[Condition], type: str) -> Condition | None:  # noqa: A002 - the field's name
    """Return the condition of a type, if there is one."""
    return next((condition for condition in conditions if condition.type == type), None)


def set_condition(conditions: Sequence[Condition], condition: Condition, now: datetime) -> tuple[Condition, ...]:
    """Return the conditions with one set anew, sorted by type.

    `last_transition_time` becomes `now`, to the second, only if the status differs from before.
    """
    known = find_condition(conditions, condition.type)
    since = now.replace(microsecond=0)
    if known is not None and known.status == condition.status and known.last_transition_time is not None:
        since = known.last_transition_time
    others = [other for other in conditions if other.type != condition.type]
    return tuple(sorted([*others, replace(condition, last_transition_time=since)], key=lambda each: each.type))
