"""MistralKeyPool: the platform's own Mistral keys for managed mode, by reference, and the state of each."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from mistral_voice.contract.v1alpha1.base import Boolean, Integer, ObjectName, ResourceModel, Rule, SecretKey
from mistral_voice.contract.v1alpha1.issues import spec_issues
from mistral_voice.contract.v1alpha1.status import Condition, Sentence
from mistral_voice.contract.vocabulary import ValidationIssue

KeyName = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]


class Region(StrEnum):
    """Where Mistral serves the pool's keys. A closed list: an address in a resource would lead keys astray."""

    GLOBAL = "Global"
    EU = "EU"
    US = "US"

    @property
    def host(self) -> str:
        """Return Mistral's host of the region."""
        return _HOSTS[self]


_HOSTS: Final = {Region.GLOBAL: "api.mistral.ai", Region.EU: "api.eu.mistral.ai", Region.US: "api.us.mistral.ai"}


class KeyState(StrEnum):
    """The life of a key: looked at, in use, no new sessions, out of use; or set aside because of what Mistral said of it."""

    PROBING = "Probing"
    ACTIVE = "Active"
    DRAINING = "Draining"
    RETIRED = "Retired"
    QUARANTINED = "Quarantined"


class QuarantineReason(StrEnum):
    """Why a key is set aside: refused (401), its domain's rate limit reached (429), or its account without means (402)."""

    AUTH = "auth"
    RATE = "rate"
    BILLING = "billing"


class PoolSecretReference(ResourceModel):
    """A key of a Secret in the namespace that the platform keeps for pools; a reference can't name another."""

    name: ObjectName
    """Name of the Secret."""
    key: SecretKey = "apiKey"
    """Key of the Secret's data that holds the Mistral API key."""


class PoolKey(ResourceModel):
    """One Mistral API key, by reference."""

    name: KeyName
    """Name of the key within the pool, by which status and audit tell of it."""
    secret_ref: PoolSecretReference
    """The Secret that holds it."""
    weight: Annotated[Integer, Field(ge=0, le=1000)] = 1
    """Share of new sessions in relation to the other keys; 0 takes none."""
    rate_limit_domain: KeyName = "default"
    """Keys of one domain share Mistral's rate limits, as those of one workspace do: a limit that one meets rests them all."""
    retire: Boolean = False
    """Takes the key out of use: no new sessions, and when the last one has ended it is retired."""


class KeyPoolSpecification(ResourceModel):
    """What is wanted."""

    region: Region = Region.GLOBAL
    """Where Mistral serves the keys: `Global` is api.mistral.ai, `EU` api.eu.mistral.ai, `US` api.us.mistral.ai."""
    keys: Annotated[
        tuple[PoolKey, ...],
        Field(max_length=64, json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}),
    ]
    """The keys. A pool without keys refuses sessions."""

    rules = (
        Rule(
            "self.keys.all(k, self.keys.exists_one(other, other.secretRef.name == k.secretRef.name))",
            "each key must lie in a Secret of its own, so that one can be changed or withdrawn without the others",
            lambda s: len({key.secret_ref.name for key in s.keys}) == len(s.keys),
            field="keys",
        ),
    )

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        # The API server's half of this is the list type `map`.
        if len({key.name for key in self.keys}) != len(self.keys):
            raise PydanticCustomError("keys", "keys holds two keys of the same name")
        return self


class PoolKeyStatus(ResourceModel):
    """The state of one key; never anything of its value."""

    name: KeyName
    """Name of the key within the pool."""
    state: KeyState
    """Where in its life it is."""
    reason: QuarantineReason | None = None
    """Why it is quarantined: `auth`, `rate` or `billing`."""
    message: Sentence | None = None
    """Why it is in this state, in a sentence."""
    until: datetime | None = None
    """When its quarantine ends by itself."""
    last_probe_time: datetime | None = None
    """When it was last looked at, to the hour."""
    sessions: Annotated[Integer, Field(ge=0)] | None = None
    """Sessions that hold it, as of the last change of state."""


class KeyPoolStatus(ResourceModel):
    """What was observed."""

    observed_generation: Annotated[Integer, Field(ge=0)] | None = None
    """Generation of the spec that this status is about."""
    conditions: Annotated[
        tuple[Condition, ...],
        Field(max_length=8, json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}),
    ] = ()
    """Ready: whether the pool has an active key."""
    active_keys: Annotated[Integer, Field(ge=0)] | None = None
    """Keys that take new sessions."""
    keys: Annotated[
        tuple[PoolKeyStatus, ...],
        Field(max_length=64, json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}),
    ] = ()
    """State of each key."""


class MistralKeyPool(ResourceModel):
    """The platform's own Mistral keys for managed mode, by reference: plans name the pool, tenants never see it."""

    spec: KeyPoolSpecification
    """What is wanted."""
    status: KeyPoolStatus | None = None
    """What was observed; written by the control plane."""


def parse_pool(spec: Any) -> KeyPoolSpecification | list[ValidationIssue]:
    """Return a pool's typed spec, or what is wrong with it, each finding with its place. Never raises on untrusted input."""
    try:
        return KeyPoolSpecification.model_validate(spec)
    except ValidationError as error:
        return spec_issues(error)
