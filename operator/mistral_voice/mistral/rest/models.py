"""What Mistral's API answers, as far as it is read. Unknown fields pass, and a field that is absent is unknown, not false."""

from datetime import UTC, datetime
from typing import Any

from msgspec import Raw, Struct


class Capabilities(Struct, frozen=True):
    """What a model can do; None: Mistral did not say."""

    completion_chat: bool | None = None
    audio_transcription_realtime: bool | None = None
    audio_speech: bool | None = None


class Model(Struct, frozen=True):
    """A model card. `deprecation` is when it retires, as Mistral writes it; `deprecation_replacement_model` is what it names instead."""

    id: str
    aliases: list[str] | None = None
    deprecation: str | None = None
    deprecation_replacement_model: str | None = None
    capabilities: Capabilities = Capabilities()

    def answers_to(self, name: str) -> bool:
        """Tell whether this is the model of that id or alias."""
        return name == self.id or name in (self.aliases or ())

    @property
    def retires_at(self) -> datetime | None:
        """Return when the model retires, None if no date is known."""
        if self.deprecation is None:
            return None
        try:
            moment = datetime.fromisoformat(self.deprecation)
        except ValueError:
            return None
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


class Voice(Struct, frozen=True):
    """A voice. Requests name it by its id; slugs of the older generation pass too."""

    id: str
    name: str | None = None
    slug: str | None = None

    def answers_to(self, name: str) -> bool:
        """Tell whether this is the voice of that id or slug."""
        return name in (self.id, self.slug)


class ModelList(Struct):
    """`GET /v1/models`. Cards are read one by one: one of an unknown shape does not spoil the others."""

    data: list[Raw]


class VoicePage(Struct):
    """`GET /v2/audio/voices`."""

    data: list[Raw]
    next_page_token: str | None = None


class VoiceOffsetPage(Struct):
    """`GET /v1/audio/voices`, the older listing."""

    items: list[Raw]
    total: int = 0


class WhoAmI(Struct, frozen=True):
    """`GET /v1/whoami`: that it answers is what matters."""

    workspace: Any = None
    organization: Any = None
