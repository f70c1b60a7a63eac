"""MistralVoicePlan: what tenants may use of the platform's Mistral keys in managed mode, who may claim it, and what it costs."""

import re
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, ValidationError, WithJsonSchema, model_validator
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from mistral_voice.contract.gateway_config import SPEECH_MODEL, TRANSCRIPTION_MODEL
from mistral_voice.contract.lease import Unit
from mistral_voice.contract.v1alpha1.base import Integer, ObjectName, ResourceModel, Rule
from mistral_voice.contract.v1alpha1.issues import spec_issues
from mistral_voice.contract.v1alpha1.selector import NamespaceSelector
from mistral_voice.contract.v1alpha1.spec import ModelName
from mistral_voice.contract.v1alpha1.status import Condition
from mistral_voice.contract.vocabulary import ValidationIssue

MICRO_UNITS: Final = 1_000_000
"""Micro-units in one unit of currency: the ledger counts whole ones."""


class ModelKind(StrEnum):
    """What a model is for in a session."""

    CHAT = "chat"
    TRANSCRIPTION = "transcription"
    SPEECH = "speech"

    @property
    def units(self) -> tuple[Unit, ...]:
        """Return what the use of such a model is counted in: each needs a price."""
        return _UNITS[self]


_UNITS: Final = {
    ModelKind.CHAT: (Unit.INPUT_TOKENS, Unit.OUTPUT_TOKENS),
    ModelKind.TRANSCRIPTION: (Unit.AUDIO_MS,),
    ModelKind.SPEECH: (Unit.CHARACTERS,),
}


class StopPolicy(StrEnum):
    """Whether a plan admits sessions. `Hold` refuses new ones and lets the others run on; `HoldAndDrain` ends those as well."""

    NONE = "None"
    HOLD = "Hold"
    HOLD_AND_DRAIN = "HoldAndDrain"


class Enforcement(StrEnum):
    """What happens at a limit: `Enforce` refuses, `Shadow` only counts and tells what it would have refused."""

    ENFORCE = "Enforce"
    SHADOW = "Shadow"


class Period(StrEnum):
    """The window in which seconds and spend are counted, in UTC: from the first of a month, or from midnight."""

    MONTH = "Month"
    DAY = "Day"


MoneyText = Annotated[str, StringConstraints(max_length=20, pattern=r"^[0-9]{1,12}(\.[0-9]{1,6})?$")]
"""An amount of money as a decimal number in quotes, to the millionth."""


def micro_units(money: str) -> int:
    """Return an amount such as `12.50` in whole micro-units."""
    return int((Decimal(money) * MICRO_UNITS).to_integral_value(ROUND_HALF_UP))


class Limits(ResourceModel):
    """Bounds of use. What is unset is not bounded; 0 allows nothing."""

    concurrent_sessions: Annotated[Integer, Field(ge=0, le=1_000_000)] | None = None
    """Sessions at the same time."""
    session_seconds_per_period: Annotated[Integer, Field(ge=0, le=1_000_000_000_000)] | None = None
    """Seconds of all sessions together in the period."""
    spend_per_period: MoneyText | None = None
    """Cost of all sessions together in the period, in the price book's currency: a decimal number in quotes, such as "250.00"."""

    rules = (
        Rule(
            "has(self.concurrentSessions) || has(self.sessionSecondsPerPeriod) || has(self.spendPerPeriod)",
            "limits without a figure limit nothing: set concurrentSessions, sessionSecondsPerPeriod or spendPerPeriod",
            lambda s: (s.concurrent_sessions, s.session_seconds_per_period, s.spend_per_period) != (None, None, None),
        ),
    )

    @property
    def spend_micro_units(self) -> int | None:
        """Return the bound of the spend in micro-units of the currency."""
        return None if self.spend_per_period is None else micro_units(self.spend_per_period)


class AllowedModels(ResourceModel):
    """Models that sessions of the plan may use, by what they are for. Names are compared as they stand: an alias is a name of its own."""

    chat: Annotated[tuple[ModelName, ...], Field(min_length=1, max_length=32)]
    """Chat models: what an integration's config.model and its policy may name."""
    transcription: Annotated[tuple[ModelName, ...], Field(min_length=1, max_length=8)] = (TRANSCRIPTION_MODEL,)
    """Models of realtime transcription."""
    speech: Annotated[tuple[ModelName, ...], Field(min_length=1, max_length=8)] = (SPEECH_MODEL,)
    """Models of speech."""

    def of_kind(self, kind: ModelKind) -> tuple[str, ...]:
        """Return the models for one use."""
        return {ModelKind.CHAT: self.chat, ModelKind.TRANSCRIPTION: self.transcription, ModelKind.SPEECH: self.speech}[kind]

    def allow(self, kind: ModelKind, model: str) -> bool:
        """Tell whether a session may use the model for this."""
        return model in self.of_kind(kind)


_NO_DEFAULT_VOICE: Final = "must be the id of a voice: default stands for the operator's own, so name that voice's id"


def _no_default_voice(value: str) -> str:
    if value == "default":
        raise PydanticCustomError("voice", "{sentence}", {"sentence": _NO_DEFAULT_VOICE})
    return value


_no_default_rule: Final[JsonDict] = {"rule": "self != 'default'", "message": _NO_DEFAULT_VOICE}
PlanVoice = Annotated[
    str,
    StringConstraints(max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$"),
    AfterValidator(_no_default_voice),
    Field(json_schema_extra={"x-kubernetes-validations": [_no_default_rule]}),
]
"""The id of a voice."""


class PoolReference(ResourceModel):
    """A MistralKeyPool."""

    name: ObjectName
    """Name of the pool."""


_DATE: Final = "^[1-9][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"
_NO_SUCH_DAY: Final = "must be a day that the calendar has, such as 2026-11-01"


def _calendar_date(value: object) -> object:
    if isinstance(value, date):
        return value
    if isinstance(value, str) and re.fullmatch(_DATE, value, re.ASCII) is not None and not value.endswith("\n"):
        try:
            return date.fromisoformat(value)
        except ValueError:
            """It is the 31st of a shorter month."""
    raise PydanticCustomError("date", "{sentence}", {"sentence": _NO_SUCH_DAY})


_length_of_month: Final[JsonDict] = {
    "rule": "int(self.substring(8, 10)) <= (self.substring(5, 7) in ['04', '06', '09', '11'] ? 30 : self.substring(5, 7) != '02' ? 31 : "
    "int(self.substring(0, 4)) % 4 == 0 && (int(self.substring(0, 4)) % 100 != 0 || int(self.substring(0, 4)) % 400 == 0) ? 29 : 28)",
    "message": _NO_SUCH_DAY,
}
Day = Annotated[
    date,
    BeforeValidator(_calendar_date),
    # Not `format: date`, for which the API server takes lists as well.
    WithJsonSchema({"type": "string", "maxLength": 10, "pattern": _DATE, "x-kubernetes-validations": [_length_of_month]}),
]
"""A day as year, month and day."""


class Price(ResourceModel):
    """What a model costs from a day on, until an entry of a later day takes its place."""

    from_: Annotated[Day, Field(alias="from")]
    """First day of the price, from midnight UTC, such as "2026-11-01"."""
    model: ModelName
    """The model, as the plan's models name it."""
    unit: Unit
    """What is counted: `inputTokens` and `outputTokens` of a chat model, `audioMs` transcribed, `characters` spoken."""
    price: MoneyText
    """Price of `quantity` units, in the currency: a decimal number in quotes, such as "0.40"."""
    quantity: Annotated[Integer, Field(ge=1, le=1_000_000_000)] = 1_000_000
    """How many units the price is for: 60000 of `audioMs` are a minute."""

    @property
    def micro_units(self) -> int:
        """Return the price of `quantity` units in micro-units of the currency."""
        return micro_units(self.price)

    def cost(self, amount: int) -> int:
        """Return what `amount` units cost, in whole micro-units, rounded up."""
        return -(-amount * self.micro_units // self.quantity)


class PriceBook(ResourceModel):
    """What the plan's models cost. An unknown price refuses a session; nothing is free but by the price "0"."""

    currency: Annotated[str, StringConstraints(min_length=3, max_length=3, pattern=r"^[A-Z]{3}$")]
    """Currency of all amounts of the plan, in ISO 4217's letters, such as EUR. Can't be changed."""
    prices: Annotated[
        tuple[Price, ...],
        Field(
            min_length=1,
            max_length=256,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["from", "model", "unit"]},
        ),
    ]
    """Prices, in any order; one for each day, model and unit."""

    rules = (
        Rule(
            "self.currency == oldSelf.currency",
            "currency can't be changed, since what was spent is counted in it: create another plan",
            field="currency",
        ),
    )

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        # The API server's half of this is the list type `map`.
        seen = {(entry.from_, entry.model, entry.unit) for entry in self.prices}
        if len(seen) != len(self.prices):
            raise PydanticCustomError("prices", "prices holds two entries for the same day, model and unit")
        return self

    def price_at(self, model: str, unit: Unit, moment: datetime) -> Price | None:
        """Return the price that holds at an instant, or None if there is none yet. `moment` bears its time zone."""
        day = moment.astimezone(UTC).date()
        valid = [entry for entry in self.prices if entry.model == model and entry.unit is unit and entry.from_ <= day]
        return max(valid, key=lambda entry: entry.from_, default=None)


class PlanSpecification(ResourceModel):
    """What is wanted."""

    namespace_selector: NamespaceSelector
    """Namespaces whose integrations may claim the plan: its owner's consent. Only `kubernetes.io/metadata.name` is safe from tenants who
    may set labels of their namespace."""
    pool_ref: PoolReference
    """The pool whose keys serve the plan's sessions."""
    models: AllowedModels
    """Models that sessions may use."""
    voices: Annotated[tuple[PlanVoice, ...], Field(min_length=1, max_length=64)] | None = None
    """Ids of voices that sessions may use; any if unset."""
    period: Annotated[
        Period,
        Field(
            json_schema_extra={
                "x-kubernetes-validations": [
                    {"rule": "self == oldSelf", "message": "period can't be changed, since use is counted by it: create another plan"}
                ]
            }
        ),
    ] = Period.MONTH
    """The window in which seconds and spend are counted: `Month` or `Day`, in UTC. Can't be changed."""
    limits: Limits
    """What each namespace may use of the plan, all its integrations together."""
    per_integration: Limits | None = None
    """What each integration may use, within its namespace's limits."""
    total: Limits | None = None
    """What all namespaces together may use of the plan."""
    price_book: PriceBook
    """What the models cost."""
    stop_policy: StopPolicy = StopPolicy.NONE
    """`None`: sessions are admitted. `Hold`: no new ones. `HoldAndDrain`: no new ones, and those that run end at their next renewal."""
    enforcement: Enforcement = Enforcement.ENFORCE
    """`Enforce`: a limit that is reached refuses sessions. `Shadow`: they go on, and what would have been refused is counted."""
    quantum_seconds: Annotated[Integer, Field(ge=5, le=300)] = 30
    """Length of a lease: a session holds so much of the limits in advance and renews it, in seconds."""
    offline_grace_seconds: Annotated[Integer, Field(ge=0, le=600)] = 60
    """How long a session goes on while its lease can't be renewed because the control plane is out of reach, in seconds."""

    def unpriced(self, moment: datetime) -> tuple[tuple[str, Unit], ...]:
        """Return the allowed models and units that have no price at an instant."""
        return tuple(
            (model, unit)
            for kind in ModelKind
            for model in self.models.of_kind(kind)
            for unit in kind.units
            if self.price_book.price_at(model, unit, moment) is None
        )

    def allows_voice(self, voice: str) -> bool:
        """Tell whether a session may use the voice of this id."""
        return self.voices is None or voice in self.voices


class PlanStatus(ResourceModel):
    """What was observed."""

    observed_generation: Annotated[Integer, Field(ge=0)] | None = None
    """Generation of the spec that this status is about."""
    conditions: Annotated[
        tuple[Condition, ...],
        Field(max_length=8, json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}),
    ] = ()
    """Ready: whether sessions can be admitted, their limits apart."""


class MistralVoicePlan(ResourceModel):
    """What tenants may use of the platform's Mistral keys in managed mode: who may claim it, which models, how much, at which prices."""

    spec: PlanSpecification
    """What is wanted."""
    status: PlanStatus | None = None
    """What was observed; written by the operator."""


def parse_plan(spec: Any) -> PlanSpecification | list[ValidationIssue]:
    """Return a plan's typed spec, or what is wrong with it, each finding with its place. Never raises on untrusted input."""
    try:
        return PlanSpecification.model_validate(spec)
    except ValidationError as error:
        return spec_issues(error)
