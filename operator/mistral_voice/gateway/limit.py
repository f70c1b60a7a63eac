"""The limits that are counted when they are hit."""

from enum import StrEnum


class Limit(StrEnum):
    """A limit's word in the metric `limits_hit_total`; docs/gateway.md says what each bounds."""

    SESSIONS = "sessions"
    SECRET_SESSIONS = "secret_sessions"  # noqa: S105 - a metric's label
    MESSAGE_SIZE = "message_size"
    MESSAGE_RATE = "message_rate"
    TEXT_RATE = "text_rate"
    MALFORMED_MESSAGE = "malformed_message"
    FAULTS = "faults"
    AUDIO_RATE = "audio_rate"
    INPUT_BACKLOG = "input_backlog"
    RESPONSES = "responses"
    TURNS = "turns"
    OUT_OF_BAND = "out_of_band"
    CALL_ROUNDS = "call_rounds"
    TRANSCRIPT = "transcript"
    REPLY = "reply"
    IDLE = "idle"
    OUTBOUND_BYTES = "outbound_bytes"
