"""What every process shares: logs, redaction, metrics, health endpoints, shutdown."""
