"""The points of Mistral's wire that are disputed or unknown. Each is a setting, so that a client can be tested against either reading."""

from enum import StrEnum

import msgspec


class ErrorShape(StrEnum):
    """How a refusal's body looks."""

    DETAIL = "detail"
    """`{"detail": …}`, a sentence or a list of validation errors."""
    MESSAGE = "message"
    """`{"message": …, "request_id": …}`."""
    ERROR_OBJECT = "error_object"
    """`{"object": "error", "message": …, "type": …, "param": null, "code": …}`."""


class SampleFormat(StrEnum):
    """How a sample of `pcm` speech is written."""

    FLOAT32 = "f32le"
    INT16 = "s16le"


class LastWords(StrEnum):
    """When the last word of a spoken turn is given out."""

    AT_FLUSH = "at_flush"
    """When the turn ends or is flushed."""
    AT_END = "at_end"
    """Only at `input_audio.end`."""


class Dialect(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One reading of the disputed points. The defaults are the likeliest reading."""

    unauthorized: ErrorShape = ErrorShape.DETAIL
    """The body of a 401."""
    string_validation_detail: bool = False
    """Whether the `detail` of a 422 is one sentence instead of a list."""
    whoami: bool = True
    """Whether keys with no scope `whoami` of their own may call `/v1/whoami` as well."""
    aliases_listed: bool = False
    """Whether `GET /v1/models` also lists each alias as a model of its own."""
    message_order_status: int = 400
    """The HTTP status of a refused message list."""
    system_alone_refused: bool = True
    """Whether a list of only system messages is refused."""
    user_after_tool_refused: bool = True
    """Whether a user message right after a tool message is refused."""
    nine_character_tool_call_ids: bool = True
    """Whether tool-call ids must be nine letters or digits."""

    flush_yields_done: bool = False
    """Whether `input_audio.flush` in mid-session yields `transcription.done`."""
    last_words: LastWords = LastWords.AT_FLUSH
    """Whether a turn's last word comes with the turn's end or flush, or is withheld until `input_audio.end`."""
    turn_detection_by_default: bool = False
    """Whether turn events come although `session.update` set no `turn_detection`."""
    errors_close: bool = False
    """Whether the realtime sockets close (1008) after an `error` event."""
    realtime_refusal_by_event: bool = True
    """Whether an unknown model on a realtime socket is told by an `error` event and close 1008, or by HTTP 404 to the handshake."""
    idle_timeout_ms: int | None = None
    """After this long with no client message a realtime socket gets error 3804 and closes; None: never."""
    max_duration_ms: int | None = None
    """How long a realtime socket may last before it gets an error and closes; None: for ever."""

    speech_sample_format: SampleFormat = SampleFormat.FLOAT32
    """How `pcm` speech is written."""
    speech_sample_rate: int = 24_000
    """The rate of all speech, in Hz."""
    empty_flush_yields_done: bool = True
    """Whether `input_text.flush` with nothing to say yields `speech.audio.done`."""
