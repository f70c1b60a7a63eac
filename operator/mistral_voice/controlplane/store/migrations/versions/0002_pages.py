"""Indexes in whose order audit and ledger are read page by page."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the indexes; the one that they do without goes."""
    op.create_index("entries_plan_pages", "entries", ["plan", "id"])
    op.create_index("entries_namespace_pages", "entries", ["namespace", "integration", "id"])
    op.create_index("audit_plan_pages", "audit", ["plan", "id"])
    op.create_index("audit_namespace_pages", "audit", ["namespace", "id"])
    op.drop_index("audit_tenant", "audit")
