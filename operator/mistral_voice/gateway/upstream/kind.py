"""What a gateway asks Mistral for."""

from enum import StrEnum


class UpstreamKind(StrEnum):
    """A kind of request, as metrics name it."""

    CHAT = "chat"
    TRANSCRIPTION = "transcription"
    SPEECH = "speech"
