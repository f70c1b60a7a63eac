"""What a visitor of the playground does, and what the page then shows."""

from tests.browser.chromium import Page
from tests.support.gateway import TOKEN, GatewayHandle


async def enter(page: Page, gateway: GatewayHandle, token: str = TOKEN, first: str = "0") -> None:
    """Open the page and start a session; `first` is evaluated in between."""
    await page.open(gateway.base_url + "/")
    await page.evaluate(first)
    assert await page.evaluate("location.pathname") == "/playground/"
    await page.evaluate(f"document.getElementById('token').value = '{token}'")
    await page.evaluate("document.getElementById('start').click()")


async def typed(page: Page, text: str) -> None:
    """Send a message in writing."""
    await page.evaluate(f"document.getElementById('text').value = '{text}'")
    await page.evaluate("document.getElementById('writing').requestSubmit()")


def said_by(who: str) -> str:
    """The expression for what `caller` or `assistant` said, line by line."""
    return f"[...document.querySelectorAll('#transcript .{who} p')].map((line) => line.textContent)"


def received() -> str:
    """The expression for the types of the events that came."""
    return _logged("received")


def sent() -> str:
    """The expression for the types of the events that went."""
    return _logged("sent")


def _logged(way: str) -> str:
    return f"[...document.querySelectorAll('#log .{way} .type')].map((entry) => entry.textContent)"
