"""What the gateway uses of aiohttp beyond its promises. A version that changes it fails here, with what to do."""

import importlib

import aiohttp
from aiohttp import web


def test_aiohttp_still_takes_masks_off_as_client_frames_expects() -> None:
    where = f"aiohttp {aiohttp.__version__}: `gateway/client_frames.py` takes masks off by `aiohttp._websocket.helpers.websocket_mask`"
    helpers = importlib.import_module("aiohttp._websocket.helpers")
    assert hasattr(helpers, "websocket_mask"), f"{where}, which has gone. Find its new place, or keep the former version."
    text = bytearray(b"a client's words")
    helpers.websocket_mask(b"\x01\x02\x03\x04", text)
    expected = bytes(byte ^ b"\x01\x02\x03\x04"[at % 4] for at, byte in enumerate(b"a client's words"))
    assert bytes(text) == expected, f"{where}, which no longer masks the bytearray it is given, in place."


def test_aiohttp_still_lets_a_heartbeat_be_put_off() -> None:
    assert callable(getattr(web.WebSocketResponse, "_reset_heartbeat", None)), (
        f"aiohttp {aiohttp.__version__}: `gateway/client_socket.py` excuses a client that is left unread by "
        "`WebSocketResponse._reset_heartbeat`, which has gone. Find what puts the next ping and the wait for its pong off now, or keep the "
        "former version; `test_a_client_that_must_wait_is_not_taken_for_dead` tells whether it does."
    )
