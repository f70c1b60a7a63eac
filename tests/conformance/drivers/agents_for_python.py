"""A user of `openai-agents`: an agent with a realtime session. The library itself says how much of a reply was heard."""

import asyncio
import base64
from typing import Any

from agents import function_tool
from agents.realtime import RealtimeAgent, RealtimeRunner, RealtimeSession

from tests.conformance.drivers.stage import OPTIONS, TOKEN, URL, chunks, deeds, see


def weather(city: str) -> str:
    """The weather of a city."""
    see("tool", name="weather", arguments={"city": city})
    return "It rains."


def an_agent(instructions: str) -> RealtimeAgent[Any]:
    """The agent of this user."""
    return RealtimeAgent(name="Joe", instructions=instructions, tools=[function_tool(weather)] if "tools" in OPTIONS else [])


async def act(session: RealtimeSession) -> None:
    """Do what the user does."""
    async for deed in deeds():
        match deed["do"]:
            case "speak":
                for chunk in chunks(deed["file"]):
                    await session.send_audio(chunk)
            case "write":
                await session.send_message(deed["text"])
            case "instruct":
                await session.update_agent(an_agent(deed["text"]))
            case "blunder":
                await session.model.send_event(raw("response.cancel"))


def raw(event_type: str) -> Any:
    """An event that the library sends as it is."""
    from agents.realtime.model_inputs import RealtimeModelSendRawMessage

    return RealtimeModelSendRawMessage(message={"type": event_type})


async def watch(session: RealtimeSession) -> None:
    """See what comes."""
    told: set[str] = set()
    async for event in session:
        match event.type:
            case "audio":
                see("sound", audio=base64.b64encode(event.audio.data).decode())
            case "audio_interrupted":
                see("interrupted")
            case "history_updated" | "history_added":
                for item in event.history if event.type == "history_updated" else [event.item]:
                    tell_of(item, told)
            case "error":
                see("trouble", text=getattr(event.error, "message", str(event.error)), code=getattr(event.error, "code", None))
            case "raw_model_event" if event.data.type == "raw_server_event":
                server = event.data.data
                if server.get("type") == "session.updated":
                    see("connected", instructions=server["session"]["instructions"])


def tell_of(item: Any, told: set[str]) -> None:
    """Tell of an item of the history once it has its words."""
    if item.type != "message" or item.item_id in told or item.role not in ("user", "assistant"):
        return
    if item.role == "assistant" and item.status == "in_progress":
        return
    words = "".join(getattr(part, "transcript", None) or getattr(part, "text", None) or "" for part in item.content)
    if words:
        told.add(item.item_id)
        see("heard" if item.role == "user" else "said", text=words)


async def main() -> None:
    """Connect, and act until the user leaves or the gateway does."""
    runner = RealtimeRunner(an_agent("Be brief."))
    url = f"{URL.replace('http', 'ws', 1)}/v1/realtime?model=gpt-realtime"
    session = await runner.run(model_config={"api_key": TOKEN, "url": url})
    async with session:
        acting, watching = asyncio.create_task(act(session)), asyncio.create_task(watch(session))
        await asyncio.wait({acting, watching}, return_when=asyncio.FIRST_COMPLETED)
        if watching.done():
            error = watching.exception()
            see("closed", text=f"{type(error).__name__}: {error}" if error else "the events ended")
        watching.cancel()
        acting.cancel()
        await asyncio.gather(acting, watching, return_exceptions=True)


asyncio.run(main())
