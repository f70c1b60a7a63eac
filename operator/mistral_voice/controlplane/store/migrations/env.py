"""Alembic runs this: it migrates over the connection that it is given, within that one's transaction."""

from alembic import context

from mistral_voice.controlplane.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transaction_per_migration=False)
context.run_migrations()
