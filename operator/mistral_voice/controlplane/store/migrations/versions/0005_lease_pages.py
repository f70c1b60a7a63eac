"""An index in whose order leases are read page by page; and messages of keys without the names of Secrets, which the API does not tell."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the index, of which the former is the beginning, and write the messages anew."""
    op.create_index("holds_plan_pages", "holds", ["plan", "session", "epoch"])
    op.drop_index("holds_plan", "holds")
    op.execute("UPDATE pool_keys SET message = 'Its Secret is missing or holds no usable key.' WHERE message LIKE 'The Secret %'")
