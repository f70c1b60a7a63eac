"""The session object on the wire: a client's partial update into a patch, the settings in force back into an object."""

import re
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar

from msgspec import UNSET, Struct, UnsetType

from mistral_voice.gateway.protocol.tools import WireTool, WireToolChoice, choice_of, tools_of, wire_choice, wire_tools
from mistral_voice.gateway.session.audio_format import AudioFormat
from mistral_voice.gateway.session.config import (
    Eagerness,
    OutputModality,
    Patched,
    SemanticVad,
    SessionPatch,
    SessionType,
    TranscriptionPatch,
    TurnDetection,
    TurnDetectionKind,
    TurnDetectionPatch,
)
from mistral_voice.gateway.session.errors import Refused
from mistral_voice.gateway.session.events import SessionView

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)
Given: TypeAlias = T | UnsetType | None
"""A field that a client may leave out or set to null."""
_LANGUAGE = re.compile(r"([A-Za-z]{2,3})([-_][A-Za-z0-9]{1,8})*")
"""A code of ISO 639, perhaps with a region or a script, as in `en-US`."""


class WireFormat(Struct, frozen=True):
    """An audio format."""

    type: str | UnsetType | None = UNSET
    rate: int | UnsetType | None = UNSET


class WireTurnDetection(Struct, frozen=True):
    """`turn_detection`."""

    type: str | UnsetType | None = UNSET
    threshold: float | UnsetType | None = UNSET
    prefix_padding_ms: int | UnsetType | None = UNSET
    silence_duration_ms: int | UnsetType | None = UNSET
    idle_timeout_ms: int | UnsetType | None = UNSET
    eagerness: str | UnsetType | None = UNSET
    create_response: bool | UnsetType | None = UNSET
    interrupt_response: bool | UnsetType | None = UNSET


class WireTranscription(Struct, frozen=True):
    """`transcription`."""

    language: str | UnsetType | None = UNSET


class WireInput(Struct, frozen=True):
    """`audio.input`."""

    format: WireFormat | UnsetType | None = UNSET
    transcription: WireTranscription | UnsetType | None = UNSET
    turn_detection: WireTurnDetection | UnsetType | None = UNSET


class WireOutput(Struct, frozen=True):
    """`audio.output`."""

    format: WireFormat | UnsetType | None = UNSET
    voice: Any = UNSET


class WireAudio(Struct, frozen=True):
    """`audio`."""

    input: WireInput | UnsetType | None = UNSET
    output: WireOutput | UnsetType | None = UNSET


class WireSession(Struct, frozen=True):
    """The session object of a `session.update`, as far as it is read."""

    type: str | UnsetType | None = UNSET
    model: str | UnsetType | None = UNSET
    instructions: str | UnsetType | None = UNSET
    output_modalities: list[str] | UnsetType | None = UNSET
    max_output_tokens: int | str | UnsetType | None = UNSET
    audio: WireAudio | UnsetType | None = UNSET
    tools: list[WireTool] | UnsetType | None = UNSET
    tool_choice: str | WireToolChoice | UnsetType | None = UNSET
    parallel_tool_calls: bool | UnsetType | None = UNSET


def patch_of(session: WireSession) -> SessionPatch:
    """Return the change that a client asks for. Raises Refused for what changes meaning and isn't to be had."""
    audio = session.audio or WireAudio()
    hears, speaks = audio.input or WireInput(), audio.output or WireOutput()
    return SessionPatch(
        type=_one_of(SessionType, session.type, "session.type") or UNSET,
        model=session.model,
        voice=voice_name_of(speaks.voice, "session.audio.output.voice"),
        instructions=session.instructions,
        output=modality_of(session.output_modalities, "session.output_modalities"),
        max_output_tokens=token_limit_of(session.max_output_tokens, "session.max_output_tokens"),
        turn_detection=_turn_detection_of(hears.turn_detection),
        transcription=_transcription_of(hears.transcription),
        input_format=format_of(hears.format, "session.audio.input.format"),
        output_format=format_of(speaks.format, "session.audio.output.format"),
        tools=tools_of(session.tools, "session.tools"),
        tool_choice=choice_of(session.tool_choice, "session.tool_choice"),
        parallel_tool_calls=session.parallel_tool_calls,
    )


def modality_of(modalities: Given[list[str]], param: str) -> Patched[OutputModality]:
    """Return what a reply shall be. Raises Refused for anything but audio alone or text alone."""
    if isinstance(modalities, UnsetType) or modalities is None:
        return modalities
    if len(modalities) == 1 and modalities[0] in tuple(OutputModality):
        return OutputModality(modalities[0])
    raise Refused("invalid_value", '`output_modalities` must be ["audio"] or ["text"]; audio comes with its transcript.', param)


def token_limit_of(limit: Given[int | str], param: str) -> Patched[int]:
    """Return the limit of a reply, in tokens; "inf" and null mean none. Raises Refused for any other word."""
    if isinstance(limit, str):
        if limit != "inf":
            raise Refused("invalid_value", '`max_output_tokens` must be a number or "inf".', param)
        return None
    return limit


def voice_name_of(voice: Any, param: str) -> Patched[str]:
    """Return the name of a voice, which may also come as `{"id": name}`."""
    if isinstance(voice, dict):
        voice = voice.get("id")
    if voice is UNSET or voice is None or isinstance(voice, str):
        return voice
    raise Refused("invalid_value", "A voice is a name.", param)


def format_of(wanted: Given[WireFormat], param: str) -> Patched[AudioFormat]:
    """Return a format by its name. Raises Refused for an unknown one, or for a rate that it doesn't have."""
    if isinstance(wanted, UnsetType) or wanted is None:
        return wanted
    if isinstance(wanted.type, UnsetType) or wanted.type is None:
        return wanted.type
    if wanted.type not in tuple(AudioFormat):
        raise Refused("invalid_value", f"There is no format {wanted.type[:50]!r}; there are {', '.join(AudioFormat)}.", f"{param}.type")
    found = AudioFormat(wanted.type)
    if wanted.rate not in (UNSET, None, found.sample_rate_hz):
        message = f"`rate` must be {found.sample_rate_hz} for {found}: resample the audio to {found.sample_rate_hz} Hz."
        raise Refused("invalid_value", message, f"{param}.rate")
    return found


def _turn_detection_of(wanted: Given[WireTurnDetection]) -> Patched[TurnDetectionPatch]:
    if isinstance(wanted, UnsetType) or wanted is None:
        return wanted
    place = "session.audio.input.turn_detection"
    return TurnDetectionPatch(
        kind=_one_of(TurnDetectionKind, wanted.type, f"{place}.type"),
        eagerness=_one_of(Eagerness, wanted.eagerness, f"{place}.eagerness"),
        threshold=wanted.threshold,
        prefix_padding_ms=wanted.prefix_padding_ms,
        silence_duration_ms=wanted.silence_duration_ms,
        idle_timeout_ms=wanted.idle_timeout_ms,
        create_response=wanted.create_response,
        interrupt_response=wanted.interrupt_response,
    )


def _one_of(kind: type[E], wanted: Given[str], param: str) -> Patched[E]:
    if isinstance(wanted, UnsetType) or wanted is None:
        return wanted
    try:
        return kind(wanted)
    except ValueError:
        raise Refused("invalid_value", f"`{param}` must be one of {', '.join(kind)}.", param) from None


def _transcription_of(wanted: Given[WireTranscription]) -> Patched[TranscriptionPatch]:
    if isinstance(wanted, UnsetType) or wanted is None:
        return wanted
    return TranscriptionPatch(language=_language_of(wanted.language))


def _language_of(wanted: Given[str]) -> Patched[str]:
    if isinstance(wanted, UnsetType) or not wanted:
        return wanted if isinstance(wanted, UnsetType) else None
    code = _LANGUAGE.fullmatch(wanted)
    if code is None:
        message = "`language` must be a language's code of ISO 639, such as en or fr; leave it out to have the language recognised."
        raise Refused("invalid_value", message, "session.audio.input.transcription.language")
    return code[1].lower()


def wire_session(view: SessionView) -> dict[str, Any]:
    """Return the session object that tells a client what is in force."""
    config = view.config
    head = {"type": config.type.value, "id": view.id, "expires_at": view.expires_at, "include": None}
    if config.type is SessionType.TRANSCRIPTION:
        return {**head, "object": "realtime.transcription_session", "audio": {"input": _wire_input(view)}}
    return {
        **head,
        "object": "realtime.session",
        "model": config.model,
        "instructions": config.instructions,
        "output_modalities": [config.output.value],
        "max_output_tokens": wire_token_limit(config.max_output_tokens),
        "tools": wire_tools(config.tools),
        "tool_choice": wire_choice(config.tool_choice),
        "parallel_tool_calls": config.parallel_tool_calls,
        "truncation": "auto",
        "prompt": None,
        "reasoning": None,
        "tracing": None,
        "audio": {
            "input": _wire_input(view),
            "output": {"format": wire_format(config.output_format), "voice": config.voice, "speed": 1.0},
        },
    }


def _wire_input(view: SessionView) -> dict[str, Any]:
    config = view.config
    detection, transcription = _wire_turn_detection(config.turn_detection), config.transcription
    if detection is not None and config.type is SessionType.TRANSCRIPTION:
        del detection["create_response"], detection["interrupt_response"]
    return {
        "format": wire_format(config.input_format),
        "noise_reduction": None,
        "transcription": None
        if transcription is None
        else {"model": view.transcription_model, "language": transcription.language, "prompt": None},
        "turn_detection": detection,
    }


def wire_format(audio_format: AudioFormat) -> dict[str, Any]:
    """Return a format as the protocol writes it: only `audio/pcm` names its rate."""
    if audio_format is AudioFormat.PCM:
        return {"type": "audio/pcm", "rate": audio_format.sample_rate_hz}
    return {"type": audio_format.value}


def wire_token_limit(limit: int | None) -> int | str:
    """Return a reply's limit as the protocol writes it."""
    return "inf" if limit is None else limit


def _wire_turn_detection(settings: TurnDetection) -> dict[str, Any] | None:
    if settings is None:
        return None
    if isinstance(settings, SemanticVad):
        return {
            "type": TurnDetectionKind.SEMANTIC_VAD.value,
            "eagerness": settings.eagerness.value,
            "create_response": settings.create_response,
            "interrupt_response": settings.interrupt_response,
        }
    return {
        "type": TurnDetectionKind.SERVER_VAD.value,
        "threshold": settings.threshold,
        "prefix_padding_ms": settings.prefix_padding_ms,
        "silence_duration_ms": settings.silence_duration_ms,
        "idle_timeout_ms": settings.idle_timeout_ms,
        "create_response": settings.create_response,
        "interrupt_response": settings.interrupt_response,
    }
