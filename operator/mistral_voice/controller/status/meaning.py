"""Whether a status says something new. A write that says nothing new wakes every watcher for nothing."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from mistral_voice.controller.previous import parse_time

REFRESH_AFTER: Final = timedelta(hours=6)
"""How old the figures in a status may become whose meaning stays."""

_FIGURES: Final[Mapping[str, frozenset[str]]] = {
    "connection": frozenset({"checkedAt", "latencyMs"}),
    "credential": frozenset({"lastValidatedAt"}),
}
"""What changes with every check and means nothing new."""


def same_meaning(old: Mapping[str, Any] | None, new: Mapping[str, Any], now: datetime) -> bool:
    """Tell whether `old`, as it stands in the cluster, may stay in place of `new`."""
    if not old or _meaning(old) != _meaning(new):
        return False
    return not _figures_are_old(old, new, now)


def _figures_are_old(old: Mapping[str, Any], new: Mapping[str, Any], now: datetime) -> bool:
    written, known = _checked_at(old), _checked_at(new)
    if known is None:
        return False
    return written is None or (known > written and now - written >= REFRESH_AFTER)


def _checked_at(status: Mapping[str, Any]) -> datetime | None:
    section = status.get("connection")
    return parse_time(section.get("checkedAt")) if isinstance(section, Mapping) else None


def _meaning(status: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: {key: value for key, value in part.items() if key not in _FIGURES[name]}
        if name in _FIGURES and isinstance(part, Mapping)
        else part
        for name, part in status.items()
        if part not in (None, [], {})
    }
