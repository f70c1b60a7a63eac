"""No redirects. aiohttp follows those of a WebSocket's handshake and has no option against it."""

from types import SimpleNamespace

import aiohttp


def none_followed() -> aiohttp.TraceConfig:
    """Return what makes a session of aiohttp refuse all redirects: they raise WSServerHandshakeError with their status."""
    config = aiohttp.TraceConfig()
    config.on_request_redirect.append(_refuse)
    return config


async def _refuse(_: aiohttp.ClientSession, __: SimpleNamespace, redirect: aiohttp.TraceRequestRedirectParams) -> None:
    answer = redirect.response
    answer.close()
    raise aiohttp.WSServerHandshakeError(
        answer.request_info, answer.history, status=answer.status, message="A redirect is not followed.", headers=answer.headers
    )
