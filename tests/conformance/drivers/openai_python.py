"""A user of `openai` for Python. It has no player, so this user looks after interruptions as the protocol asks."""

import asyncio
import base64
import json
import time

from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from openai.types.realtime import RealtimeFunctionToolParam, RealtimeServerEvent
from openai.types.websocket_reconnection import ReconnectingEvent

from tests.conformance.drivers.stage import OPTIONS, TOKEN, URL, chunks, deeds, see

WEATHER: RealtimeFunctionToolParam = {
    "type": "function",
    "name": "weather",
    "description": "The weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


class User:
    """Plays what comes at the speed at which it is heard, and says where it was interrupted."""

    def __init__(self, connection: AsyncRealtimeConnection) -> None:
        self.connection = connection
        self._item_id: str | None = None
        self._began = 0.0

    async def begin(self) -> None:
        """Set up the session."""
        await self.connection.session.update(
            session={
                "type": "realtime",
                "instructions": "Be brief.",
                "audio": {
                    "input": {"transcription": {"model": "gpt-4o-mini-transcribe"}, "turn_detection": {"type": "semantic_vad"}},
                    "output": {"voice": "marin"},
                },
                "tools": [WEATHER] if "tools" in OPTIONS else [],
            }
        )

    async def act(self) -> None:
        """Do what the user does."""
        async for deed in deeds():
            match deed["do"]:
                case "speak":
                    for chunk in chunks(deed["file"]):
                        await self.connection.input_audio_buffer.append(audio=base64.b64encode(chunk).decode())
                case "write":
                    await self.connection.conversation.item.create(
                        item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": deed["text"]}]}
                    )
                    await self.connection.response.create()
                case "instruct":
                    await self.connection.session.update(session={"type": "realtime", "instructions": deed["text"]})
                case "blunder":
                    await self.connection.response.cancel()

    async def watch(self) -> None:
        """See what comes."""
        async for event in self.connection:
            await self._see(event)

    async def _see(self, event: RealtimeServerEvent) -> None:
        match event.type:
            case "session.created":
                await self.begin()
            case "session.updated":
                see("connected", instructions=event.session.instructions)  # type: ignore[union-attr]
            case "conversation.item.input_audio_transcription.completed":
                see("heard", text=event.transcript)
            case "response.output_audio.delta":
                if self._item_id != event.item_id:
                    self._item_id, self._began = event.item_id, time.monotonic()
                see("sound", audio=event.delta)
            case "input_audio_buffer.speech_started" if self._item_id is not None:
                await self.connection.conversation.item.truncate(
                    item_id=self._item_id, content_index=0, audio_end_ms=int((time.monotonic() - self._began) * 1000)
                )
                self._item_id = None
                see("interrupted")
            case "response.done" if event.response.status == "completed":
                for item in event.response.output or []:
                    if item.type == "function_call":
                        await self._use_tool(item.call_id or "", item.name, item.arguments)
                    elif item.type == "message" and item.role == "assistant":
                        see("said", text="".join(part.transcript or part.text or "" for part in item.content))
            case "response.done" if event.response.status == "failed":
                see("trouble", text=str(event.response.status_details))
            case "error":
                see("trouble", text=event.error.message, code=event.error.code)

    async def _use_tool(self, call_id: str, name: str, arguments: str) -> None:
        see("tool", name=name, arguments=json.loads(arguments))
        await self.connection.conversation.item.create(item={"type": "function_call_output", "call_id": call_id, "output": "It rains."})
        await self.connection.response.create()


def on_reconnecting(event: ReconnectingEvent) -> None:
    """Allow it."""
    see("reconnecting", code=event.close_code)


async def main() -> None:
    """Connect, and act until the user leaves or the gateway does."""
    client = AsyncOpenAI(base_url=f"{URL}/v1", api_key=TOKEN)
    may_reconnect = on_reconnecting if "reconnect" in OPTIONS else None
    async with client.realtime.connect(model="gpt-realtime", on_reconnecting=may_reconnect) as connection:
        user = User(connection)
        acting = asyncio.create_task(user.act())
        watching = asyncio.create_task(user.watch())
        await asyncio.wait({acting, watching}, return_when=asyncio.FIRST_COMPLETED)
        if watching.done():
            error = watching.exception()
            see("closed", text=f"{type(error).__name__}: {error}" if error else "the events ended")
        watching.cancel()
        acting.cancel()
        await asyncio.gather(acting, watching, return_exceptions=True)


asyncio.run(main())
