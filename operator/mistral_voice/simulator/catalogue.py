"""The models that the simulated Mistral has."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec

from mistral_voice.simulator.clock import Clock


class Ability(StrEnum):
    """What a model is asked for; the values are the names of the capabilities."""

    CHAT = "completion_chat"
    TRANSCRIPTION = "audio_transcription"
    TRANSCRIPTION_REALTIME = "audio_transcription_realtime"
    SPEECH = "audio_speech"


class Capabilities(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a model can do."""

    completion_chat: bool = False
    function_calling: bool = False
    reasoning: bool = False
    completion_fim: bool = False
    fine_tuning: bool = False
    vision: bool = False
    ocr: bool = False
    classification: bool = False
    moderation: bool = False
    audio: bool = False
    audio_transcription: bool = False
    audio_transcription_realtime: bool = False
    audio_speech: bool = False
    unified_resources: bool = False


class DelayRange(msgspec.Struct, frozen=True):
    """An inclusive range of streaming delays in ms."""

    min: int
    max: int


class TranscriptionCapabilities(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a transcribing model can do."""

    modes: list[str] = []
    diarization: bool = False
    context_bias: bool = False
    turn_detection: bool = False
    timestamp_granularities: list[str] = []
    languages: list[str] = []
    streaming_delays_ms: list[DelayRange] = []


class SpeechCapabilities(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a speaking model can do."""

    modes: list[str] = []
    instruction: bool = False
    response_formats: list[str] = []


class Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model card, as `GET /v1/models` lists it."""

    id: str
    object: str = "model"
    created: int = 1_767_225_600
    owned_by: str = "mistralai"
    capabilities: Capabilities = msgspec.field(default_factory=Capabilities)
    name: str | None = None
    description: str | None = None
    max_context_length: int = 131_072
    aliases: list[str] = []
    deprecation: datetime | None = None
    deprecation_replacement_model: str | None = None
    default_model_temperature: float | None = None
    internal: bool = False
    billing_model_name: str | None = None
    type: str = "base"
    audio_transcription_capabilities: TranscriptionCapabilities | None = None
    audio_speech_capabilities: SpeechCapabilities | None = None

    def retired(self, now: datetime) -> bool:
        """Tell whether the model's deprecation date has passed."""
        return self.deprecation is not None and self.deprecation <= now

    def can(self, ability: Ability) -> bool:
        """Tell whether the model has the ability."""
        return bool(getattr(self.capabilities, ability.value))

    def accepts_delay(self, delay_ms: int) -> bool:
        """Tell whether the model transcribes with this streaming delay."""
        capabilities = self.audio_transcription_capabilities
        return capabilities is not None and any(bounds.min <= delay_ms <= bounds.max for bounds in capabilities.streaming_delays_ms)


@dataclass
class Catalogue:
    """All models, found by id or alias."""

    clock: Clock
    _models: dict[str, Model] = field(default_factory=dict)

    def put(self, model: Model) -> None:
        """Add a model, or replace the one of the same id."""
        self._models[model.id] = model

    def remove(self, model_id: str) -> bool:
        """Take a model out; tells whether it was there."""
        return self._models.pop(model_id, None) is not None

    def find(self, name: str) -> Model | None:
        """Return the model of this id or alias."""
        if name in self._models:
            return self._models[name]
        return next((model for model in self._models.values() if name in model.aliases), None)

    def usable(self, name: str, ability: Ability) -> Model | None:
        """Return the model if it exists, is not retired and has the ability."""
        model = self.find(name)
        if model is None or model.retired(self.clock.wall()) or not model.can(ability):
            return None
        return model

    def listing(self, *, aliases_listed: bool) -> list[Model]:
        """Return all models, and each alias as a model of its own if asked for."""
        models = list(self._models.values())
        if not aliases_listed:
            return models
        listed: list[Model] = []
        for model in models:
            names = [model.id, *model.aliases]
            listed.extend(msgspec.structs.replace(model, id=name, aliases=[other for other in names if other != name]) for name in names)
        return listed


def model_json(model: Model) -> Any:
    """Return a model card as plain JSON data."""
    return msgspec.to_builtins(model)


_LANGUAGES = ["ar", "de", "en", "es", "fr", "hi", "it", "ja", "ko", "nl", "pt", "ru", "zh"]


def _chat(model_id: str, *aliases: str, name: str, reasoning: bool = True, **rest: Any) -> Model:
    capabilities = Capabilities(completion_chat=True, function_calling=True, reasoning=reasoning, vision=True)
    return Model(id=model_id, aliases=list(aliases), name=name, capabilities=capabilities, default_model_temperature=0.3, **rest)


def _realtime_transcription(model_id: str, *aliases: str, turn_detection: bool, **rest: Any) -> Model:
    return Model(
        id=model_id,
        aliases=list(aliases),
        name=model_id,
        max_context_length=32_768,
        capabilities=Capabilities(audio=True, audio_transcription_realtime=True),
        audio_transcription_capabilities=TranscriptionCapabilities(
            modes=["realtime"],
            diarization=turn_detection,
            context_bias=turn_detection,
            turn_detection=turn_detection,
            languages=_LANGUAGES,
            streaming_delays_ms=[DelayRange(80, 1200), DelayRange(2400, 2400)],
        ),
        **rest,
    )


def _batch_transcription(model_id: str, *aliases: str) -> Model:
    return Model(
        id=model_id,
        aliases=list(aliases),
        name=model_id,
        max_context_length=32_768,
        capabilities=Capabilities(audio=True, audio_transcription=True),
        audio_transcription_capabilities=TranscriptionCapabilities(
            modes=["offline"], diarization=True, context_bias=True, timestamp_granularities=["segment", "word"], languages=_LANGUAGES
        ),
    )


def _speech(model_id: str, *aliases: str, modes: Iterable[str]) -> Model:
    return Model(
        id=model_id,
        aliases=list(aliases),
        name=model_id,
        max_context_length=4_096,
        capabilities=Capabilities(audio=True, audio_speech=True),
        audio_speech_capabilities=SpeechCapabilities(modes=list(modes), response_formats=["pcm", "wav", "mp3", "flac", "opus"]),
    )


def default_models() -> list[Model]:
    """Return the models that a voice application meets, with one that can't chat, one deprecated and one retired."""
    return [
        _chat("mistral-medium-2604", "mistral-medium-latest", "mistral-medium", name="mistral-medium-2604"),
        _chat("mistral-small-2603", "mistral-small-latest", "mistral-small", name="mistral-small-2603"),
        _chat("mistral-large-4", "mistral-large-latest", name="mistral-large-4", max_context_length=262_144),
        _chat("ministral-3b-2512", "ministral-3b-latest", name="ministral-3b-2512", reasoning=False),
        _chat("ministral-8b-2512", "ministral-8b-latest", name="ministral-8b-2512", reasoning=False),
        _chat("ministral-14b-2512", "ministral-14b-latest", name="ministral-14b-2512", reasoning=False),
        _chat(
            "mistral-small-2506",
            name="mistral-small-2506",
            deprecation=datetime(2099, 6, 30, 12, tzinfo=UTC),
            deprecation_replacement_model="mistral-small-latest",
        ),
        _chat(
            "mistral-large-2407",
            name="mistral-large-2407",
            deprecation=datetime(2025, 3, 30, 12, tzinfo=UTC),
            deprecation_replacement_model="mistral-large-latest",
        ),
        Model(id="mistral-embed-2312", aliases=["mistral-embed"], name="mistral-embed-2312", max_context_length=8_192),
        _realtime_transcription(
            "voxtral-mini-transcribe-realtime-3-0",
            "voxtral-mini-transcribe-realtime-3",
            "voxtral-mini-transcribe-realtime-latest",
            turn_detection=True,
        ),
        _realtime_transcription("voxtral-mini-transcribe-realtime-2602", turn_detection=False),
        _batch_transcription("voxtral-mini-transcribe-3-0", "voxtral-mini-transcribe-3", "voxtral-mini-transcribe-latest"),
        _batch_transcription("voxtral-small-transcribe-3-0", "voxtral-small-transcribe-latest"),
        _batch_transcription("voxtral-mini-2602", "voxtral-mini-latest"),
        _speech("voxtral-mini-tts-3-0", "voxtral-mini-tts-3", "voxtral-mini-tts-latest", modes=("offline", "realtime")),
        _speech("voxtral-mini-tts-2603", modes=("offline",)),
    ]
