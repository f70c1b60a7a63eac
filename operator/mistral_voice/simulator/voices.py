"""The voices that the simulated Mistral speaks with."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec


class Voice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A voice, as both listings show it."""

    id: str
    name: str
    slug: str | None = None
    type: str = "preset"
    languages: list[str] = []
    gender: str | None = None
    age: int | None = None
    tags: list[str] | None = None
    color: str | None = None
    description: str | None = None
    created_at: datetime = datetime(2026, 3, 1, tzinfo=UTC)
    user_id: str | None = None
    retention_notice: int = 30
    trimmed_seconds: float | None = None
    kind: str = "ivc"

    def answers_to(self, name: str) -> bool:
        """Tell whether this is the voice of that id or slug."""
        return name in (self.id, self.slug)


@dataclass
class VoiceBook:
    """All voices, in the order of the listings."""

    _voices: dict[str, Voice] = field(default_factory=dict)

    def put(self, voice: Voice) -> None:
        """Add a voice, or replace the one of the same id."""
        self._voices[voice.id] = voice

    def remove(self, voice_id: str) -> bool:
        """Take a voice out; tells whether it was there."""
        return self._voices.pop(voice_id, None) is not None

    def find(self, name: str) -> Voice | None:
        """Return the voice of this id or slug."""
        return next((voice for voice in self._voices.values() if voice.answers_to(name)), None)

    def select(self, voice_type: str = "all") -> list[Voice]:
        """Return the voices of this type: all, preset or custom."""
        return [voice for voice in self._voices.values() if voice_type in ("all", voice.type)]


def default_voices() -> list[Voice]:
    """Return presets of both generations: numbered ones, and slugs of the older generation that still pass."""
    return [
        Voice(id="voice_478", name="Paul", slug="en_us_478", languages=["en_us"], gender="male", tags=["neutral"]),
        Voice(id="voice_480", name="Jane", slug="en_us_480", languages=["en_us"], gender="female", tags=["warm"]),
        Voice(id="voice_512", name="Oliver", slug="en_gb_512", languages=["en_gb"], gender="male", tags=["confident"], kind="pvc"),
        Voice(id="voice_592", name="Marie", slug="fr_fr_592", languages=["fr_fr"], gender="female", tags=["neutral"]),
        Voice(id="98559b22-62b5-4a64-a7cd-fc78ca41faa8", name="Paul - Neutral", slug="en_paul_neutral", languages=["en_us"], gender="male"),
        Voice(id="c69964a6-ab8b-4f8a-9465-ec0925096ec8", name="Paul - Happy", slug="en_paul_happy", languages=["en_us"], gender="male"),
        Voice(
            id="5a271406-039d-46fe-835b-fbbb00eaf08d", name="Marie - Neutral", slug="fr_marie_neutral", languages=["fr_fr"], gender="female"
        ),
        Voice(
            id="0f3c7a52-9f0e-4b1c-8a58-3d2f6f6b1c11",
            name="House voice",
            type="custom",
            languages=["en_us"],
            gender="neutral",
            user_id="3b6d0a52-6f0a-4d0e-9a5e-6f3b0d5c2a10",
        ),
    ]
