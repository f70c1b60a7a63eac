"""What a temperament brings: ears, a mind and a mouth. The endpoints speak the wire and leave the rest to them."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from mistral_voice.simulator.audio import Samples
from mistral_voice.simulator.dialect import Dialect
from mistral_voice.simulator.script import ScriptInUse, ToolCallScript
from mistral_voice.simulator.voices import Voice
from mistral_voice.simulator.wire.chat import ChatRequest
from mistral_voice.simulator.wire.transcription import ServerEvent, Session


@dataclass(frozen=True)
class Heard:
    """An event of a transcription that is due `delay_ms` after what caused it."""

    event: ServerEvent
    delay_ms: float = 0.0


class Ear(Protocol):
    """Listens to one transcription session."""

    async def hear(self, samples: Samples) -> Sequence[Heard]:
        """Take audio in and return what it gives rise to."""
        ...

    async def flush(self) -> Sequence[Heard]:
        """Return what is left of the audio so far."""
        ...

    async def end(self) -> Sequence[Heard]:
        """Return what is left; no audio follows."""
        ...

    async def close(self) -> None:
        """Give up resources; always called, once."""
        ...


@dataclass(frozen=True)
class Piece:
    """A piece of a reply, due `at_ms` after the request."""

    at_ms: float
    text: str = ""
    thinking: str = ""


@dataclass(frozen=True)
class Reply:
    """A chat reply and its pace."""

    pieces: Sequence[Piece]
    tool_calls: Sequence[ToolCallScript] = ()
    tool_calls_at_ms: float = 0.0
    token_ms: float = 0.0
    finish_reason: str = "stop"
    content_as_list: bool = False


class Temperament(Protocol):
    """How the simulator hears, answers and speaks."""

    async def ear(self, session: Session, script: ScriptInUse, dialect: Dialect) -> Ear:
        """Return the ear of a session whose settings are final."""
        ...

    async def reply(self, request: ChatRequest, script: ScriptInUse, session: str | None) -> Reply:
        """Return the reply to a conversation."""
        ...

    def speak(self, text: str, voice: Voice | None, script: ScriptInUse, sample_rate: int) -> AsyncIterator[Samples]:
        """Speak: yield samples as they come to be, at their pace."""
        ...

    async def transcribe(self, samples: Samples, sample_rate: int, script: ScriptInUse) -> str:
        """Return the transcript of a whole recording."""
        ...

    async def close(self) -> None:
        """Give up resources."""
        ...
