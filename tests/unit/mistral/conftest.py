"""What these tests talk to is in their own process: their loop's clock stands still while anything computes."""

from tests.support.leaping_loop import loop_factories

pytest_asyncio_loop_factories = loop_factories
