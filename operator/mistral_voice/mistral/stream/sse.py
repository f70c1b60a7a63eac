"""Server-sent events, as far as Mistral uses them: the data of each event."""

from collections.abc import AsyncGenerator

import aiohttp

from mistral_voice.mistral.stream.errors import FaultKind, StreamError

MAX_LINE_BYTES = 1024 * 1024


async def data_of_events(body: aiohttp.StreamReader) -> AsyncGenerator[bytes, None]:
    """Yield the data of each event of a body. Several `data` lines of one event are joined by a line break, as the standard says.

    Raises StreamError for a line, or the lines of one event, beyond `MAX_LINE_BYTES`. Data after the last blank line is given out too: some
    servers end without one.
    """
    rest = b""
    data: list[bytes] = []
    size = 0  # of the event's data, an empty line of which counts too
    async for chunk in body.iter_any():
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        if len(rest) + size > MAX_LINE_BYTES:
            raise StreamError(FaultKind.GARBLED, "The reply failed: Mistral sent a line without end.")
        for line in lines:
            text = line.rstrip(b"\r")
            if text.startswith(b"data:"):
                data.append(text[5:].removeprefix(b" "))
                size += len(text)
            elif not text and data:
                yield b"\n".join(data)
                data.clear()
                size = 0
    if rest.startswith(b"data:"):
        data.append(rest[5:].strip())
    if data:
        yield b"\n".join(data)
