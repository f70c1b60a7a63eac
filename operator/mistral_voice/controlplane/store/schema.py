"""The tables. `migrations/` makes them; a test holds that both agree."""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, Text

metadata: Final = MetaData()

_NAME = String(253)
_KEY = String(800)
_BIG = BigInteger
_SERIAL = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows by themselves only in a column of the type INTEGER."""

balances: Final = Table(
    "balances",
    metadata,
    Column("scope", _KEY, primary_key=True),
    Column("plan", _NAME, nullable=False),
    Column("namespace", _NAME, nullable=False),
    Column("integration", _NAME, nullable=False),
    Column("period", String(10), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("session_ms", _BIG, nullable=False),
    Column("micro_units", _BIG, nullable=False),
    Index("balances_plan", "plan", "namespace", "integration"),
)
"""What each scope has used in its present window. One row a scope, and so the lock of the tenant too."""

past_balances: Final = Table(
    "past_balances",
    metadata,
    Column("scope", _KEY, primary_key=True),
    Column("period", String(10), primary_key=True),
    Column("currency", String(3), primary_key=True),
    Column("session_ms", _BIG, nullable=False),
    Column("micro_units", _BIG, nullable=False),
)
"""What each scope has used in windows that are over."""

sessions: Final = Table(
    "sessions",
    metadata,
    Column("session", String(64), primary_key=True),
    Column("plan", _NAME, nullable=False),
    Column("namespace", _NAME, nullable=False),
    Column("integration", _NAME, nullable=False),
    Column("integration_uid", _NAME, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("broker", _NAME, nullable=False),
    Column("models", Text, nullable=False),
    Column("pool", _NAME, nullable=False),
    Column("secret", _NAME, nullable=False),
    Column("data_key", _NAME, nullable=False),
    Column("region", _NAME, nullable=False),
    Column("started_at", _BIG, nullable=False),
    Column("ended_at", _BIG),
    Index("sessions_ended", "ended_at"),
    Index("sessions_tenant", "namespace", "integration", "started_at"),
)

holds: Final = Table(
    "holds",
    metadata,
    Column("session", String(64), primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("plan", _NAME, nullable=False),
    Column("namespace", _NAME, nullable=False),
    Column("integration", _NAME, nullable=False),
    Column("tenant", _KEY, nullable=False),
    Column("expires_at", _BIG, nullable=False),
    Column("acknowledged_at", _BIG, nullable=False),
    Column("session_ms", _BIG, nullable=False),
    Column("micro_units", _BIG, nullable=False),
    Column("superseded_at", _BIG),
    Index("holds_tenant", "tenant", "integration"),
    Index("holds_plan_pages", "plan", "session", "epoch"),
    Index("holds_expiry", "expires_at"),
)
"""Leases: rows that expire. `tenant` is the scope of plan and namespace."""

usage: Final = Table(
    "usage",
    metadata,
    Column("session", String(64), primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("seq", _BIG, nullable=False),
    Column("session_ms", _BIG, nullable=False),
    Column("amounts", Text, nullable=False),
    Column("state", String(10), nullable=False),
    Column("acknowledged_at", _BIG, nullable=False),
    Column("estimated_ms", _BIG, nullable=False),
    Column("estimated_micro_units", _BIG, nullable=False),
    Column("estimated_period", String(10)),
    Column("estimated_currency", String(3)),
)
"""The most that was reported of each epoch; `amounts` is JSON."""

entries: Final = Table(
    "entries",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("at", _BIG, nullable=False),
    Column("plan", _NAME, nullable=False),
    Column("namespace", _NAME, nullable=False),
    Column("integration", _NAME, nullable=False),
    Column("period", String(10), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("session", String(64), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("kind", String(10), nullable=False),
    Column("session_ms", _BIG, nullable=False),
    Column("model", _NAME, nullable=False),
    Column("unit", String(20), nullable=False),
    Column("amount", _BIG, nullable=False),
    Column("micro_units", _BIG, nullable=False),
    Index("entries_tenant", "plan", "namespace", "period"),
    Index("entries_at", "at"),
    Index("entries_plan_pages", "plan", "id"),
    Index("entries_namespace_pages", "namespace", "integration", "id"),
)
"""The ledger. Rows are only ever added."""

audit: Final = Table(
    "audit",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("at", _BIG, nullable=False),
    Column("event", String(40), nullable=False),
    Column("plan", _NAME, nullable=False),
    Column("namespace", _NAME, nullable=False),
    Column("integration", _NAME, nullable=False),
    Column("session", String(64), nullable=False),
    Column("reason", String(40), nullable=False),
    Column("message", Text, nullable=False),
    Column("alike", String(1100)),
    Column("times", _BIG, nullable=False, server_default="1"),
    Column("pool", _NAME, nullable=False, server_default=""),
    Index("audit_alike", "alike", unique=True),
    Index("audit_at", "at"),
    Index("audit_plan_pages", "plan", "id"),
    Index("audit_namespace_pages", "namespace", "id"),
    Index("audit_pool_pages", "pool", "id"),
)
"""What a person may ask about later. Refusals that are `alike` within a minute are one row, with how many `times` there were."""

plans: Final = Table(
    "plans",
    metadata,
    Column("name", _NAME, primary_key=True),
    Column("spec", Text, nullable=False),
    Column("changed_at", _BIG, nullable=False),
    Column("deleted_at", _BIG),
)
"""Each plan as it last stood, so that what its sessions used can be priced after it was deleted."""

pool_keys: Final = Table(
    "pool_keys",
    metadata,
    Column("pool", _NAME, primary_key=True),
    Column("secret", _NAME, primary_key=True),
    Column("state", String(12), nullable=False),
    Column("reason", String(10)),
    Column("until", _BIG),
    Column("generation", String(200), nullable=False),
    Column("failures", Integer, nullable=False),
    Column("message", Text, nullable=False),
    Column("changed_at", _BIG, nullable=False),
    Column("probed_at", _BIG),
    Column("probe_due_at", _BIG, nullable=False),
    Column("probe_broker", _NAME, nullable=False),
    Column("probe_until", _BIG, nullable=False),
)
"""The state of each key of the pools; never anything of its value."""
