"""What retention needs: to find sessions by their end, and one row for refusals that are alike."""

from alembic import op
from sqlalchemy import BigInteger, Column, String

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns and indexes."""
    op.create_index("sessions_ended", "sessions", ["ended_at"])
    op.add_column("audit", Column("alike", String(1100)))
    op.add_column("audit", Column("times", BigInteger, nullable=False, server_default="1"))
    op.create_index("audit_alike", "audit", ["alike"], unique=True)
