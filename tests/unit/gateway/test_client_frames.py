"""Audio takes a short way into its session, and nobody notices: whatever a client sends, cut anywhere, is done in its order."""

import asyncio
import base64
import contextlib
import json
import os
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mistral_voice.gateway.client_frames import FrameTrack
from mistral_voice.gateway.client_reader import ClientReader
from tests.support.gateway import DEADLINE_SECONDS, GatewayHandle
from tests.support.speech import silence

TEXT, CONTINUATION, PING = 0x1, 0x0, 0x9
FIN = 0x80
MANUAL = {
    "type": "realtime",
    "audio": {"input": {"turn_detection": None, "transcription": {"model": "voxtral-mini-transcribe-realtime-2602"}}},
}


def frame(payload: bytes, first: int = FIN | TEXT) -> bytes:
    """Return a client's frame."""
    size, mask = len(payload), os.urandom(4)
    short, wide = (size, 0) if size < 126 else (126, 2) if size < 65536 else (127, 8)
    length = bytes([0x80 | short]) + size.to_bytes(wide, "big") if wide else bytes([0x80 | short])
    return bytes([first]) + length + mask + masked(payload, mask)


def masked(payload: bytes, mask: bytes) -> bytes:
    repeated = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(len(payload), "big")


def append(audio: bytes) -> bytes:
    return json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(audio).decode()}).encode()


def event(name: str, **fields: object) -> bytes:
    return frame(json.dumps({"type": name, **fields}).encode())


@given(st.lists(st.tuples(st.sampled_from([0, 5, 125, 126, 1337, 65535, 65536]), st.booleans(), st.booleans())), st.data())
def test_frames_are_followed_however_they_are_cut(shapes: list[tuple[int, bool, bool]], data: st.DataObject) -> None:
    track, sent, messages, in_message = FrameTrack(), b"", 0, False
    ends: dict[int, tuple[int, bool]] = {0: (0, True)}
    for size, is_control, is_last in shapes:
        if is_control:
            sent += frame(bytes(min(size, 125)), FIN | PING)
        else:
            opcode = CONTINUATION if in_message else TEXT
            sent += frame(bytes(size), (FIN if is_last else 0) | opcode)
            in_message = not is_last
            messages += is_last
        ends[len(sent)] = (messages, not in_message)
    cuts = sorted({*data.draw(st.lists(st.integers(0, len(sent)), max_size=20)), *data.draw(st.lists(st.sampled_from([*ends])))})
    for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
        track.follow(sent[start:end])
        messages, is_between = ends.get(end, (track.messages, False))
        assert (track.messages, track.is_between_messages) == (messages, is_between)


@contextlib.asynccontextmanager
async def raw_client(gateway: GatewayHandle) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Yield a connection after its handshake, whose bytes are the test's own."""
    host, _, port = gateway.base_url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = [
        "GET /v1/realtime HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        f"Authorization: Bearer {gateway.token}",
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
    try:
        yield reader, writer
    finally:
        writer.close()


async def events_until(reader: asyncio.StreamReader, last: str, count: int = 1) -> list[dict[str, Any]]:
    """Return the gateway's events up to the last of so many of a type."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(DEADLINE_SECONDS):
        while count:
            first, size = await reader.readexactly(2)
            if size > 125:
                size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big")
            payload = await reader.readexactly(size)
            if first == FIN | TEXT:
                found.append(msgspec.json.decode(payload))
                count -= found[-1]["type"] == last
    return found


@pytest.mark.parametrize("piece", [1_000_000, 4000, 1337, 100, 7])
async def test_messages_are_done_in_order_however_they_are_sent(gateway: GatewayHandle, piece: int) -> None:
    """Audio in whole frames, in fragments, with pings between, and other messages in the middle: each commit has what came before it."""
    audio = append(silence(20))
    one_turn = frame(audio) * 10 + frame(b"", FIN | PING)
    one_turn += (
        frame(audio[:400], TEXT) + frame(b"?", FIN | PING) + frame(audio[400:700], CONTINUATION) + frame(audio[700:], FIN | CONTINUATION)
    )
    one_turn += frame(audio) * 3 + event("input_audio_buffer.clear") + frame(audio) * 7
    sent = event("session.update", session=MANUAL)
    for number in range(5):
        sent += one_turn + event("input_audio_buffer.commit") + event("conversation.item.retrieve", item_id="none", event_id=f"e{number}")
    async with raw_client(gateway) as (reader, writer):
        for start in range(0, len(sent), piece):
            writer.write(sent[start : start + piece])
            if piece > 1000 or start % (50 * piece) == 0:
                await writer.drain()
                await asyncio.sleep(0)
        found = await events_until(reader, "conversation.item.input_audio_transcription.completed", 5)
    told = [event["type"].rpartition(".")[2] for event in found]
    assert [name for name in told if name in ("cleared", "committed", "error")] == ["cleared", "committed", "error"] * 5
    assert [event["error"]["event_id"] for event in found if event["type"] == "error"] == [f"e{number}" for number in range(5)]
    assert [event["usage"]["seconds"] for event in found if "usage" in event] == [0.14] * 5


async def test_audio_takes_the_short_way_and_what_is_not_audio_does_not(gateway: GatewayHandle, monkeypatch: pytest.MonkeyPatch) -> None:
    took: list[bool] = []
    original = ClientReader._take_at_once

    def noted(self: ClientReader, text: bytearray) -> bool:
        took.append(original(self, text))
        return took[-1]

    monkeypatch.setattr(ClientReader, "_take_at_once", noted)
    async with gateway.connect() as client:
        await client.update()
        for _ in range(20):
            await client.send("input_audio_buffer.append", audio=base64.b64encode(silence(20)).decode())
        await client.send("input_audio_buffer.append", audio="?" * 400)
        assert (await client.until("error"))["error"]["code"] == "invalid_value"
        await client.send("input_audio_buffer.append", audio=base64.b64encode(silence(20)).decode())
        await client.update(instructions="Be kind." * 20)
    assert took.count(True) >= 15
    assert took[-1] is False


async def test_audio_that_comes_all_at_once_meets_the_limits_and_none_is_lost(gateway: GatewayHandle) -> None:
    async with raw_client(gateway) as (reader, writer):
        writer.write(event("session.update", session=MANUAL) + frame(append(silence(100))) * 620 + event("input_audio_buffer.commit"))
        found = await events_until(reader, "conversation.item.input_audio_transcription.completed")
    assert found[-1]["usage"]["seconds"] == 62.0
    assert await gateway.metric("limits_hit_total", limit="audio_rate") > 0
