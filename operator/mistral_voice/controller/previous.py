"""The status that an earlier pass wrote, read leniently: whatever can't be read counts as absent and is written anew."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True)
class PreviousCondition:
    """One condition as it stands in status."""

    status: str
    reason: str
    message: str
    last_transition_time: datetime | None
    observed_generation: int | None


@dataclass(frozen=True)
class PreviousStatus:
    """What a pass needs of the status before it. `raw` is the whole of it, to compare with."""

    raw: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    observed_generation: int | None = None
    conditions: Mapping[str, PreviousCondition] = field(default_factory=lambda: MappingProxyType({}))
    connection: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    credential: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    gateway: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    issues: tuple[Mapping[str, Any], ...] = ()

    @property
    def consecutive_failures(self) -> int:
        """Return the failed checks in a row, 0 if it can't be read."""
        value = self.connection.get("consecutiveFailures")
        return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def parse_status(raw: Any) -> PreviousStatus:
    """Return what can be read of a status. Never raises."""
    if not isinstance(raw, Mapping) or not raw:
        return PreviousStatus()
    generation = raw.get("observedGeneration")
    return PreviousStatus(
        raw=raw,
        observed_generation=generation if isinstance(generation, int) and not isinstance(generation, bool) else None,
        conditions=MappingProxyType(
            dict(_condition(entry) for entry in _mappings(raw.get("conditions")) if isinstance(entry.get("type"), str))
        ),
        connection=_mapping(raw.get("connection")),
        credential=_mapping(raw.get("credential")),
        gateway=_mapping(raw.get("gateway")),
        issues=tuple(_mappings(raw.get("issues"))),
    )


def parse_time(value: Any) -> datetime | None:
    """Return an RFC 3339 time as UTC, or None if it is none."""
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return None
    return time.astimezone(UTC) if time.tzinfo else None


def _condition(entry: Mapping[str, Any]) -> tuple[str, PreviousCondition]:
    generation = entry.get("observedGeneration")
    return entry["type"], PreviousCondition(
        status=str(entry.get("status", "Unknown")),
        reason=str(entry.get("reason", "")),
        message=str(entry.get("message", "")),
        last_transition_time=parse_time(entry.get("lastTransitionTime")),
        observed_generation=generation if isinstance(generation, int) and not isinstance(generation, bool) else None,
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else MappingProxyType({})


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []
