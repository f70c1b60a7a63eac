"""Times as Kubernetes writes them."""

from datetime import UTC, datetime


def wire_time(time: datetime) -> str:
    """Return a time in RFC 3339, UTC, to the second."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def to_the_hour(time: datetime) -> datetime:
    """Return the beginning of a time's hour."""
    return time.replace(minute=0, second=0, microsecond=0)
