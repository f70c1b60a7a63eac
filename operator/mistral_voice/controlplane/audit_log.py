"""The audit as structured logs, beside its rows: written once the rows are committed."""

import logging
from collections.abc import Iterable
from typing import Final

from mistral_voice.controlplane.ledger.records import AuditEntry
from mistral_voice.runtime import logs

_log: Final = logging.getLogger(__name__)


def tell(entries: Iterable[AuditEntry]) -> None:
    """Log what happened to plans and keys. What sessions met is told by the brokers' logs."""
    for entry in entries:
        about = {"plan": entry.plan, "pool": entry.pool, "reason": entry.reason}
        _log.info("%s", entry.message, extra=logs.fields(event=entry.event, **{name: value for name, value in about.items() if value}))
