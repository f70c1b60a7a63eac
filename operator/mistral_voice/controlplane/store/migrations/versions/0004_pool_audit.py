"""The audit tells of pools and their keys too."""

from alembic import op
from sqlalchemy import Column, String

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column, and the index in whose order a pool's audit is read."""
    op.add_column("audit", Column("pool", String(253), nullable=False, server_default=""))
    op.create_index("audit_pool_pages", "audit", ["pool", "id"])
