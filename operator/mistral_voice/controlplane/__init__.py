"""Managed mode's memory: plans, pools, leases, the ledger."""
