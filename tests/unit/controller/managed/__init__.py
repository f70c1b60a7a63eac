"""Managed mode in the operator."""
