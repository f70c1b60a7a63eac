"""The formats in which a client sends and gets audio."""

from enum import StrEnum


class AudioFormat(StrEnum):
    """Mono audio, under its name on the wire: PCM16 at 24 kHz, or the telephone's µ-law and A-law (ITU-T G.711) at 8 kHz."""

    sample_rate_hz: int
    """Samples in a second."""
    bytes_per_sample: int
    """Bytes of a sample."""
    bytes_per_ms: int
    """Bytes of a millisecond."""

    def __new__(cls, name: str, sample_rate_hz: int = 0, bytes_per_sample: int = 0) -> "AudioFormat":
        """Make a member; its measures are looked up for every piece of audio, so they are plain attributes."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.sample_rate_hz = sample_rate_hz
        member.bytes_per_sample = bytes_per_sample
        member.bytes_per_ms = sample_rate_hz * bytes_per_sample // 1000
        return member

    PCM = "audio/pcm", 24_000, 2
    PCMU = "audio/pcmu", 8_000, 1
    PCMA = "audio/pcma", 8_000, 1
