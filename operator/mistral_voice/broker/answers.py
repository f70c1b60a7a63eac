"""Mistral's answers on their way through: counted, and never with the key in them."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import Struct

from mistral_voice.broker.metering import ChatMeter
from mistral_voice.contract.lease import KeyOutcome
from mistral_voice.contract.secret import Secret
from mistral_voice.runtime.redaction import STRUCK_OUT

MAX_LINE_BYTES: Final = 1024 * 1024
_OUTCOMES: Final = {
    401: KeyOutcome.REFUSED,
    402: KeyOutcome.BILLING,
    403: KeyOutcome.FORBIDDEN,
    429: KeyOutcome.RATE_LIMITED,
}


def outcome_of(status: int) -> KeyOutcome | None:
    """Return what a status says of the key, None if nothing."""
    return _OUTCOMES.get(status) or (KeyOutcome.ACCEPTED if status < 400 else None)


class _Usage(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Delta(Struct):
    content: Any = None
    tool_calls: msgspec.Raw | None = None


class _Choice(Struct):
    delta: _Delta | None = None


class _Chunk(Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None


_decode_chunk: Final = msgspec.json.Decoder(_Chunk).decode


class ChatStream:
    """Reads the server-sent events of a completion as they pass, in whatever pieces they come."""

    def __init__(self, meter: ChatMeter) -> None:
        self._meter = meter
        self._rest = b""

    def passed(self, chunk: bytes) -> None:
        """Count what a piece of the body says."""
        for line in self._lines(chunk):
            if line.startswith(b"data:") and line[5:].strip() != b"[DONE]":
                self._take(line[5:].strip())

    def end(self) -> None:
        """The body is complete: a last line may lack its end."""
        self.passed(b"\n")

    def _lines(self, chunk: bytes) -> Iterator[bytes]:
        *lines, rest = (self._rest + chunk).split(b"\n")
        if len(rest) > MAX_LINE_BYTES:
            self._meter.passed(len(rest))
            rest = b""
        self._rest = rest
        yield from lines

    def _take(self, data: bytes) -> None:
        try:
            chunk = _decode_chunk(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._meter.passed(len(data))
            return
        for choice in chunk.choices:
            if choice.delta is not None:
                self._meter.passed(_size(choice.delta))
        usage = chunk.usage
        if usage is not None and usage.prompt_tokens is not None:
            self._meter.told(usage.prompt_tokens, usage.completion_tokens or 0)


def _size(delta: _Delta) -> int:
    content = delta.content
    size = 0 if content is None else len(content.encode() if isinstance(content, str) else msgspec.json.encode(content))
    return size + (0 if delta.tool_calls is None else len(bytes(delta.tool_calls)))


class _Error(Struct):
    code: Any = None


class _Event(Struct):
    type: str = ""
    error: _Error | None = None


_decode_event: Final = msgspec.json.Decoder(_Event).decode
_SHORT_EVENT: Final = 4096


def status_of_event(frame: bytes) -> int | None:
    """Return the HTTP status that an `error` event on a socket stands for, None for all other frames."""
    if len(frame) > _SHORT_EVENT or b'"error"' not in frame:
        return None
    try:
        event = _decode_event(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    code = event.error.code if event.type == "error" and event.error is not None else None
    return code if isinstance(code, int) and 400 <= code < 600 else None


def without(key: Secret, data: bytes) -> bytes:
    """Return what Mistral sent, with the key struck out should it ever be in it."""
    value = key.reveal().encode()
    return data.replace(value, STRUCK_OUT.encode()) if value in data else data


class WithoutKey:
    """Strikes the key out of a body that comes in pieces: the end of a piece that may be the key's beginning waits for the next."""

    def __init__(self, key: Secret) -> None:
        self._key = key
        self._value = key.reveal().encode()
        self._rest = b""

    def passed(self, chunk: bytes) -> bytes:
        """Return what may go on."""
        data = without(self._key, self._rest + chunk)
        kept = next((size for size in range(min(len(self._value) - 1, len(data)), 0, -1) if data.endswith(self._value[:size])), 0)
        self._rest = data[len(data) - kept :]
        return data[: len(data) - kept]

    def end(self) -> bytes:
        """Return what waited: the body is complete."""
        rest, self._rest = self._rest, b""
        return rest
