"""Managed mode in the gateway: each session has a line to a broker, and its calls go to that very broker."""
