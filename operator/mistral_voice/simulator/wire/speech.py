"""Messages of speech, over HTTP and over the realtime socket."""

from typing import Any

import msgspec

from mistral_voice.simulator.wire.usage import Usage

RESPONSE_FORMATS = ("pcm", "wav", "mp3", "flac", "opus")


class SpeechRequest(msgspec.Struct, frozen=True):
    """The body of `POST /v1/audio/speech`."""

    input: str
    model: str | None = None
    voice_id: str | None = None
    ref_audio: str | None = None
    response_format: str = "mp3"
    stream: bool = False
    expressiveness: float | None = None
    prompt_cache_key: str | None = None
    metadata: dict[str, Any] | None = None
    phoneme_hints: dict[str, Any] | None = None
    conversation_history: list[Any] | None = None


class SessionPatch(msgspec.Struct, frozen=True):
    """What a `session.update` sets; UNSET is left as it is."""

    voice: str | msgspec.UnsetType | None = msgspec.UNSET
    ref_audio: str | msgspec.UnsetType | None = msgspec.UNSET
    streaming_mode: str | msgspec.UnsetType | None = msgspec.UNSET
    response_format: str | msgspec.UnsetType | None = msgspec.UNSET
    expressiveness: float | msgspec.UnsetType | None = msgspec.UNSET


class ClientMessage(msgspec.Struct, frozen=True, tag_field="type"):
    """A message from the client."""


class SessionUpdate(ClientMessage, frozen=True, tag="session.update"):
    """Set voice and format."""

    session: SessionPatch


class InputTextAppend(ClientMessage, frozen=True, tag="input_text.append"):
    """Text to be spoken."""

    text: str


class InputTextFlush(ClientMessage, frozen=True, tag="input_text.flush"):
    """Speak now what has come, and `text` if given: this ends the generation."""

    text: str | None = None


class InputTextEnd(ClientMessage, frozen=True, tag="input_text.end"):
    """No more text will come."""


AnyClientMessage = SessionUpdate | InputTextAppend | InputTextFlush | InputTextEnd


class Session(msgspec.Struct, frozen=True):
    """The session's settings as the server tells them."""

    request_id: str
    model: str
    voice: str | None = None
    is_ref_audio: bool = False
    streaming_mode: str = "responsive"
    response_format: str = "pcm"
    expressiveness: float = 1.0


class ServerEvent(msgspec.Struct, frozen=True, tag_field="type"):
    """An event from the server."""


class SessionCreated(ServerEvent, frozen=True, tag="session.created"):
    """The socket is open."""

    session: Session


class SessionUpdated(ServerEvent, frozen=True, tag="session.updated"):
    """Settings were taken over."""

    session: Session


class AudioDelta(ServerEvent, frozen=True, tag="speech.audio.delta"):
    """Audio in base64. It carries nothing else: no generation, no time."""

    audio_data: str


class AudioDone(ServerEvent, frozen=True, tag="speech.audio.done"):
    """A generation is complete."""

    usage: Usage
