"""What the drivers share: they are told by lines of JSON what their user does, and tell by such lines what their user sees.

A user does: `speak` (file: PCM16 mono at 24 kHz), `write` (text), `instruct` (text: new instructions), `blunder` (a request that the
gateway refuses), `leave`. A user sees: `connected`, `heard` (text: of the user's own speech), `sound` (audio: base64), `said` (text: a
whole reply), `interrupted`, `tool` (name, arguments), `trouble` (text, code), `reconnecting`, `closed` (text).
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

CHUNK_BYTES = 4800
"""100 ms of audio."""
URL = os.environ.get("MISTRAL_VOICE_URL", "")
TOKEN = os.environ.get("MISTRAL_VOICE_TOKEN", "")
OPTIONS = frozenset(sys.argv[1:])


def see(what: str, **details: Any) -> None:
    """Tell what the user sees."""
    print(json.dumps({"saw": what, **details}), flush=True)


async def deeds() -> AsyncIterator[dict[str, Any]]:
    """What the user does, as it comes; ends when they leave."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async for line in reader:
        deed: dict[str, Any] = json.loads(line)
        if deed["do"] == "leave":
            return
        yield deed


def chunks(file: str) -> list[bytes]:
    """The audio of a file, in pieces as a microphone gives them."""
    audio = Path(file).read_bytes()
    return [audio[start : start + CHUNK_BYTES] for start in range(0, len(audio), CHUNK_BYTES)]
