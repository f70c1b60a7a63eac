"""The formats in which a client sends and gets audio."""

from enum import StrEnum


class AudioFormat(StrEnum):
    """Mono audio, under its name on the wire: PCM16 at 24 kHz, or the telephone's µ-law and A-law (ITU-T G.711) at 8 kHz."""

    PCM = "audio/pcm"
    PCMU = "audio/pcmu"
    PCMA = "audio/pcma"

    @property
    def sample_rate_hz(self) -> int:
        """Samples in a second."""
        return 24_000 if self is AudioFormat.PCM else 8_000

    @property
    def bytes_per_sample(self) -> int:
        """Bytes of a sample."""
        return 2 if self is AudioFormat.PCM else 1

    @property
    def bytes_per_ms(self) -> int:
        """Bytes of a millisecond."""
        return self.sample_rate_hz * self.bytes_per_sample // 1000
