"""The ledger's first tables."""

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, String, Text

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "balances",
        Column("scope", String(800), primary_key=True),
        Column("plan", String(253), nullable=False),
        Column("namespace", String(253), nullable=False),
        Column("integration", String(253), nullable=False),
        Column("period", String(10), nullable=False),
        Column("currency", String(3), nullable=False),
        Column("session_ms", BigInteger, nullable=False),
        Column("micro_units", BigInteger, nullable=False),
    )
    op.create_index("balances_plan", "balances", ["plan", "namespace", "integration"])
    op.create_table(
        "past_balances",
        Column("scope", String(800), primary_key=True),
        Column("period", String(10), primary_key=True),
        Column("currency", String(3), primary_key=True),
        Column("session_ms", BigInteger, nullable=False),
        Column("micro_units", BigInteger, nullable=False),
    )
    op.create_table(
        "sessions",
        Column("session", String(64), primary_key=True),
        Column("plan", String(253), nullable=False),
        Column("namespace", String(253), nullable=False),
        Column("integration", String(253), nullable=False),
        Column("integration_uid", String(253), nullable=False),
        Column("epoch", Integer, nullable=False),
        Column("broker", String(253), nullable=False),
        Column("models", Text, nullable=False),
        Column("pool", String(253), nullable=False),
        Column("secret", String(253), nullable=False),
        Column("data_key", String(253), nullable=False),
        Column("region", String(253), nullable=False),
        Column("started_at", BigInteger, nullable=False),
        Column("ended_at", BigInteger),
    )
    op.create_index("sessions_tenant", "sessions", ["namespace", "integration", "started_at"])
    op.create_table(
        "holds",
        Column("session", String(64), primary_key=True),
        Column("epoch", Integer, primary_key=True),
        Column("plan", String(253), nullable=False),
        Column("namespace", String(253), nullable=False),
        Column("integration", String(253), nullable=False),
        Column("tenant", String(800), nullable=False),
        Column("expires_at", BigInteger, nullable=False),
        Column("acknowledged_at", BigInteger, nullable=False),
        Column("session_ms", BigInteger, nullable=False),
        Column("micro_units", BigInteger, nullable=False),
        Column("superseded_at", BigInteger),
    )
    op.create_index("holds_expiry", "holds", ["expires_at"])
    op.create_index("holds_plan", "holds", ["plan"])
    op.create_index("holds_tenant", "holds", ["tenant", "integration"])
    op.create_table(
        "usage",
        Column("session", String(64), primary_key=True),
        Column("epoch", Integer, primary_key=True),
        Column("seq", BigInteger, nullable=False),
        Column("session_ms", BigInteger, nullable=False),
        Column("amounts", Text, nullable=False),
        Column("state", String(10), nullable=False),
        Column("acknowledged_at", BigInteger, nullable=False),
        Column("estimated_ms", BigInteger, nullable=False),
        Column("estimated_micro_units", BigInteger, nullable=False),
        Column("estimated_period", String(10)),
        Column("estimated_currency", String(3)),
    )
    op.create_table(
        "entries",
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
        Column("at", BigInteger, nullable=False),
        Column("plan", String(253), nullable=False),
        Column("namespace", String(253), nullable=False),
        Column("integration", String(253), nullable=False),
        Column("period", String(10), nullable=False),
        Column("currency", String(3), nullable=False),
        Column("session", String(64), nullable=False),
        Column("epoch", Integer, nullable=False),
        Column("kind", String(10), nullable=False),
        Column("session_ms", BigInteger, nullable=False),
        Column("model", String(253), nullable=False),
        Column("unit", String(20), nullable=False),
        Column("amount", BigInteger, nullable=False),
        Column("micro_units", BigInteger, nullable=False),
    )
    op.create_index("entries_at", "entries", ["at"])
    op.create_index("entries_tenant", "entries", ["plan", "namespace", "period"])
    op.create_table(
        "audit",
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
        Column("at", BigInteger, nullable=False),
        Column("event", String(40), nullable=False),
        Column("plan", String(253), nullable=False),
        Column("namespace", String(253), nullable=False),
        Column("integration", String(253), nullable=False),
        Column("session", String(64), nullable=False),
        Column("reason", String(40), nullable=False),
        Column("message", Text, nullable=False),
    )
    op.create_index("audit_at", "audit", ["at"])
    op.create_index("audit_tenant", "audit", ["namespace", "at"])
    op.create_table(
        "plans",
        Column("name", String(253), primary_key=True),
        Column("spec", Text, nullable=False),
        Column("changed_at", BigInteger, nullable=False),
        Column("deleted_at", BigInteger),
    )
    op.create_table(
        "pool_keys",
        Column("pool", String(253), primary_key=True),
        Column("secret", String(253), primary_key=True),
        Column("state", String(12), nullable=False),
        Column("reason", String(10)),
        Column("until", BigInteger),
        Column("generation", String(200), nullable=False),
        Column("failures", Integer, nullable=False),
        Column("message", Text, nullable=False),
        Column("changed_at", BigInteger, nullable=False),
        Column("probed_at", BigInteger),
        Column("probe_due_at", BigInteger, nullable=False),
        Column("probe_broker", String(253), nullable=False),
        Column("probe_until", BigInteger, nullable=False),
    )
