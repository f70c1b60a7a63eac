"""A user of `livekit-agents`: an agent session with the realtime model, without a room: a microphone and a loudspeaker of its own."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from typing import Any

from livekit import rtc
from livekit.agents import Agent, AgentSession, function_tool, io
from livekit.plugins.openai.realtime import RealtimeModel

from tests.conformance.drivers.stage import OPTIONS, TOKEN, URL, chunks, deeds, see

RATE_HZ = 24_000


class Microphone(io.AudioInput):
    """Gives what the user says, when they say it."""

    def __init__(self) -> None:
        super().__init__(label="microphone")
        self.frames: asyncio.Queue[rtc.AudioFrame] = asyncio.Queue()

    async def __anext__(self) -> rtc.AudioFrame:
        return await self.frames.get()

    def __aiter__(self) -> AsyncIterator[rtc.AudioFrame]:
        return self


class Loudspeaker(io.AudioOutput):
    """Plays at the speed of hearing, and tells the session how far it came."""

    def __init__(self) -> None:
        super().__init__(label="loudspeaker", capabilities=io.AudioOutputCapabilities(pause=False), sample_rate=RATE_HZ)
        self._began = 0.0
        self._length = 0.0
        self._end: asyncio.TimerHandle | None = None

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        """Play a piece."""
        await super().capture_frame(frame)
        if not self._length:
            self._began = time.monotonic()
            self.on_playback_started(created_at=time.time())
        self._length += frame.duration
        see("sound", audio=base64.b64encode(bytes(frame.data)).decode())

    def flush(self) -> None:
        """The reply is complete; it ends when it is played."""
        super().flush()
        if self._length:
            left = self._began + self._length - time.monotonic()
            self._end = asyncio.get_running_loop().call_later(max(0.0, left), self._finish, self._length, False)

    def clear_buffer(self) -> None:
        """Fall silent."""
        if self._end is not None:
            self._end.cancel()
        if self._length:
            see("interrupted")
            self._finish(min(self._length, time.monotonic() - self._began), True)

    def _finish(self, position: float, interrupted: bool) -> None:
        self._length, self._end = 0.0, None
        self.on_playback_finished(playback_position=position, interrupted=interrupted)


@function_tool
async def weather(city: str) -> str:
    """The weather of a city."""
    see("tool", name="weather", arguments={"city": city})
    return "It rains."


async def act(session: AgentSession[Any], agent: Agent, microphone: Microphone) -> None:
    """Do what the user does."""
    async for deed in deeds():
        match deed["do"]:
            case "speak":
                for chunk in chunks(deed["file"]):
                    microphone.frames.put_nowait(rtc.AudioFrame(chunk, RATE_HZ, 1, len(chunk) // 2))
            case "write":
                session.generate_reply(user_input=deed["text"])
            case "instruct":
                await agent.update_instructions(deed["text"])
            case "blunder":
                agent.realtime_llm_session.send_event({"type": "response.cancel"})
            case "delete":
                agent.realtime_llm_session.send_event({"type": "conversation.item.delete", "item_id": deed["item"]})


async def main() -> None:
    """Run a session until the user leaves or the session ends."""
    model = RealtimeModel(base_url=f"{URL}/v1", api_key=TOKEN, model="gpt-realtime")
    session: AgentSession[Any] = AgentSession(llm=model, aec_warmup_duration=None)  # there is no echo here
    agent = Agent(instructions="Be brief.", tools=[weather] if "tools" in OPTIONS else [])
    microphone, ended = Microphone(), asyncio.Event()
    session.input.audio, session.output.audio = microphone, Loudspeaker()

    @session.on("user_input_transcribed")
    def _heard(event: Any) -> None:
        if event.is_final:
            see("heard", text=event.transcript)

    @session.on("conversation_item_added")
    def _said(event: Any) -> None:
        if getattr(event.item, "role", None) == "assistant":
            see("said", text=event.item.text_content)

    @session.on("error")
    def _failed(event: Any) -> None:
        body = getattr(event.error.error, "body", None)
        see("trouble", text=getattr(body, "message", None) or repr(event.error.error), recoverable=event.error.recoverable)

    @session.on("close")
    def _closed(event: Any) -> None:
        see("closed", text=str(event.reason))
        ended.set()

    await session.start(agent)
    agent.realtime_llm_session.on("session_reconnected", lambda _: see("reconnecting"))
    see("connected")
    acting, ending = asyncio.create_task(act(session, agent, microphone)), asyncio.create_task(ended.wait())
    await asyncio.wait({acting, ending}, return_when=asyncio.FIRST_COMPLETED)
    acting.cancel()
    ending.cancel()
    await session.aclose()
    await model.aclose()


asyncio.run(main())
