"""The gateway's fixtures, here too."""

from tests.unit.gateway.conftest import gateway, mistral

__all__ = ["gateway", "mistral"]
