"""What people and programs ask, read-only, under /api/v1: usage, quota, sessions, keys' states, audit, ledger and cost."""
