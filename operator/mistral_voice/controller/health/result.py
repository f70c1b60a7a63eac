"""What one health check found."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from mistral_voice.contract.vocabulary import ConnectionStatus


class ProbeCode(StrEnum):
    """What a probe found, in one word; `status.connection.errorCode` and the condition's reason alike."""

    CONNECTED = "Connected"
    UNAUTHORIZED = "Unauthorized"
    PERMISSION_DENIED = "PermissionDenied"
    MODEL_NOT_FOUND = "ModelNotFound"
    MODEL_RETIRED = "ModelRetired"
    MODEL_CANNOT_CHAT = "ModelCannotChat"
    TRANSCRIPTION_MODEL_NOT_FOUND = "TranscriptionModelNotFound"
    SPEECH_MODEL_NOT_FOUND = "SpeechModelNotFound"
    VOICE_NOT_FOUND = "VoiceNotFound"
    RATE_LIMITED = "RateLimited"
    UPSTREAM_ERROR = "UpstreamError"
    UPSTREAM_TIMEOUT = "UpstreamTimeout"
    CONNECTION_FAILED = "ConnectionFailed"
    TLS_ERROR = "TLSError"
    NAME_NOT_RESOLVED = "NameNotResolved"
    INVALID_ANSWER = "InvalidAnswer"

    @property
    def definite(self) -> bool:
        """Tell whether Mistral gave a clear answer, which counts at once. The rest is trouble on the way and counts after a threshold."""
        return self not in _TROUBLE

    @property
    def trouble(self) -> bool:
        """Tell whether it is trouble at Mistral or on the way to it, which passes by itself."""
        return self in _TROUBLE


_TROUBLE = frozenset(
    {
        ProbeCode.RATE_LIMITED,
        ProbeCode.UPSTREAM_ERROR,
        ProbeCode.UPSTREAM_TIMEOUT,
        ProbeCode.CONNECTION_FAILED,
        ProbeCode.TLS_ERROR,
        ProbeCode.NAME_NOT_RESOLVED,
        ProbeCode.INVALID_ANSWER,
    }
)


class WarningCode(StrEnum):
    """What a probe warns of."""

    MODEL_DEPRECATED = "ModelDeprecated"
    ALLOWED_MODEL_NOT_USABLE = "AllowedModelNotUsable"


@dataclass(frozen=True, slots=True)
class ProbeWarning:
    """Something that works today and will not for ever, such as a model with a date of retirement. `path` is where in the resource."""

    code: WarningCode
    path: str
    message: str
    suggestion: str


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The outcome of one health check.

    `message` is a sentence without any secret. `latency_ms` is that of the whole check. `retry_after_seconds` is what Mistral asked for
    with a 429 or 503. `key_accepted` is None where the check did not get as far as knowing.
    """

    code: ProbeCode
    message: str
    checked_at: datetime
    latency_ms: int
    key_accepted: bool | None = None
    retry_after_seconds: float | None = None
    warnings: tuple[ProbeWarning, ...] = ()

    @property
    def status(self) -> ConnectionStatus:
        """Return ContractSpec's word for the outcome."""
        return ConnectionStatus.CONNECTED if self.code is ProbeCode.CONNECTED else ConnectionStatus.ERROR
