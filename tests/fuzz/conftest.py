"""The gateway's fixtures, here too, and its loop, whose clock stands still while anything computes."""

from tests.support.leaping_loop import loop_factories
from tests.unit.gateway.conftest import gateway, mistral

__all__ = ["gateway", "mistral"]

pytest_asyncio_loop_factories = loop_factories
