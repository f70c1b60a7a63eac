"""How every port of ours is served."""

from typing import Final

from aiohttp import web

KEPT_SECONDS: Final = 60.0
"""How long our own clients keep a connection that they may use again."""
IDLE_SECONDS: Final = 75.0
"""How long a connection may be without a whole request. It is longer, or a request could meet the connection's end."""


def runner(
    app: web.Application, *, shutdown_seconds: float, handler_cancellation: bool = False, idle_seconds: float = IDLE_SECONDS
) -> web.AppRunner:
    """Return what serves an app: without an access log, and without hands on the process's signals.

    A connection on which nothing is asked, or whose request does not come to the end of its headers, is closed after `idle_seconds`:
    aiohttp's own limit is an hour. What is being answered, WebSockets among it, goes on. With `handler_cancellation` an answer ends when
    its asker is gone.
    """
    return web.AppRunner(
        app,
        access_log=None,
        handle_signals=False,
        shutdown_timeout=shutdown_seconds,
        handler_cancellation=handler_cancellation,
        keepalive_timeout=idle_seconds,
    )
