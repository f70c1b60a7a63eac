"""Managed mode's wires: the session line between gateway and broker, and the leases between broker and control plane.

JSON with camelCase names; tagged by `type` where several messages share a wire. Unknown fields are passed over, so that one side may be
upgraded before the other. Durations and amounts are whole numbers with the unit in the name. No moment is ever told, only how long
something lasts from when it was asked for or told of: clocks of different machines need not agree.
"""

from enum import StrEnum
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Struct

BROKER_AUDIENCE: Final = "mistral-voice-broker"
"""Audience of the token by which a gateway is known to a broker."""
CONTROL_PLANE_AUDIENCE: Final = "mistral-voice-control-plane"
"""Audience of the token by which a broker, a person or a program is known to the control plane."""

SESSION_LINE_PATH: Final = "/v1/session"
LEASES_PATH: Final = "/internal/v1/leases"
RENEW_PATH: Final = f"{LEASES_PATH}/renew"
RELEASE_PATH: Final = f"{LEASES_PATH}/release"
KEYS_PATH: Final = "/internal/v1/keys"

Name = Annotated[str, Meta(min_length=1, max_length=253)]
SessionId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Count = Annotated[int, Meta(ge=0, le=2**62)]
Epoch = Annotated[int, Meta(ge=1, le=1_000_000)]
Message = TypeVar("Message")


class RefusalReason(StrEnum):
    """Why there is no session, or no more of it. The words are also labels of metrics."""

    NOT_AUTHENTICATED = "NotAuthenticated"
    NOT_MANAGED = "NotManaged"
    SUSPENDED = "Suspended"
    PLAN_NOT_FOUND = "PlanNotFound"
    PLAN_NOT_ALLOWED = "PlanNotAllowed"
    PLAN_HELD = "PlanHeld"
    MODEL_NOT_IN_PLAN = "ModelNotInPlan"
    VOICE_NOT_IN_PLAN = "VoiceNotInPlan"
    NO_PRICE = "NoPrice"
    SESSIONS_EXHAUSTED = "SessionsExhausted"
    SECONDS_EXHAUSTED = "SecondsExhausted"
    SPEND_EXHAUSTED = "SpendExhausted"
    POOL_EXHAUSTED = "PoolExhausted"
    LEASE_EXPIRED = "LeaseExpired"
    EPOCH_OVER = "EpochOver"
    TOO_MANY_REQUESTS = "TooManyRequests"
    DRAINING = "Draining"
    LEDGER_UNAVAILABLE = "LedgerUnavailable"


class Refusal(Struct, frozen=True, rename="camel", tag="refused"):
    """No. `retry_after_seconds` is None where asking again is of no use before somebody changes something."""

    reason: RefusalReason
    message: str
    retry_after_seconds: Count | None = None


# The session line: gateway and broker.


class Open(Struct, frozen=True, rename="camel", tag="open"):
    """Gateway to broker, first: a session of this integration begins, or moves here (then `epoch` is one more than before)."""

    session: SessionId
    epoch: Epoch
    model: Name
    voice: Name
    transcription_model: Name
    speech_model: Name


class Opened(Struct, frozen=True, rename="camel", tag="opened"):
    """Broker to gateway: the session may begin.

    Its calls go to `address` (host:port of this very broker) with `ticket` as bearer, which is renewed by `Ticket` before
    `ticket_seconds` are over. `ends_in_seconds` is set where the plan ends the session sooner than its integration would.
    """

    ticket: str
    ticket_seconds: Count
    address: str
    ends_in_seconds: Count | None = None


class Ticket(Struct, frozen=True, rename="camel", tag="ticket"):
    """Broker to gateway: the ticket for calls from now on."""

    ticket: str
    ticket_seconds: Count


class Ends(Struct, frozen=True, rename="camel", tag="ends"):
    """Broker to gateway: the lease was not renewed; the session must be over within `within_seconds`."""

    within_seconds: Count
    reason: RefusalReason
    message: str


class Moving(Struct, frozen=True, rename="camel", tag="moving"):
    """Broker to gateway: this broker stops; open a line to another at the next turn's boundary, at the latest within `within_seconds`."""

    within_seconds: Count


FromBroker = Opened | Refusal | Ticket | Ends | Moving


# Leases: broker and control plane.


class Unit(StrEnum):
    """What a price is for. Tokens are those of chat, characters those spoken, audio that which was transcribed."""

    AUDIO_MS = "audioMs"
    INPUT_TOKENS = "inputTokens"
    OUTPUT_TOKENS = "outputTokens"
    CHARACTERS = "characters"


class Amount(Struct, frozen=True, rename="camel"):
    """How much of one unit of one model was used since the epoch's begin."""

    model: Name
    unit: Unit
    amount: Count


class Usage(Struct, frozen=True, rename="camel"):
    """What a session has used since the begin of its epoch: cumulative, so that a report may be lost, repeated or late."""

    session_ms: Count = 0
    amounts: tuple[Amount, ...] = ()


class LeaseRequest(Struct, frozen=True, rename="camel"):
    """Broker to control plane: may this session begin, or go on under a new epoch? `integration_uid` tells a remade integration apart.

    `broker` is the broker's name, a slash and the line's. A request that comes twice gets the same lease again, but another line never
    does, not even at the same broker: each counts its own use from zero, and of one epoch only the greatest count is charged.
    """

    session: SessionId
    epoch: Epoch
    broker: Name
    namespace: Name
    integration: Name
    integration_uid: Name
    plan: Name
    models: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=8)]
    """All models that the session may use: each needs a price."""
    model: Annotated[str, Meta(max_length=253)] = ""
    """That of them with which it chats at first, for the figures by model."""


class LeaseReport(Struct, frozen=True, rename="camel"):
    """Broker to control plane, to renew or to release: usage so far. `seq` grows with each report of an epoch."""

    session: SessionId
    epoch: Epoch
    seq: Count
    usage: Usage


class KeyReference(Struct, frozen=True, rename="camel"):
    """A key of a pool: the name of its Secret in the pool's namespace and the key of the Secret's data. Never its value."""

    pool: Name
    secret: Name
    data_key: Name
    region: str


class LeaseGrant(Struct, frozen=True, rename="camel", tag="granted"):
    """The lease holds for `lease_seconds` from when it was asked for; renew it after `renew_after_seconds`.

    If the control plane can't be reached, go on for `offline_grace_seconds` more. `key` is the session's for its whole life.
    """

    session: SessionId
    epoch: Epoch
    lease_seconds: Count
    renew_after_seconds: Count
    offline_grace_seconds: Count
    key: KeyReference


LeaseAnswer = LeaseGrant | Refusal


class KeyOutcome(StrEnum):
    """What a broker saw of a key."""

    ACCEPTED = "Accepted"
    REFUSED = "Refused"
    """401."""
    RATE_LIMITED = "RateLimited"
    """429."""
    FORBIDDEN = "Forbidden"
    """403: a permission, not a dead key."""
    BILLING = "Billing"
    """402, or what Mistral says when an account has no money."""
    UNREACHABLE = "Unreachable"
    SECRET_UNUSABLE = "SecretUnusable"  # noqa: S105 - a word
    """The Secret or its key is missing, or holds no usable key."""


class KeyReport(Struct, frozen=True, rename="camel"):
    """Broker to control plane: an outcome. `generation` tells the key's values apart (the Secret's UID and resourceVersion)."""

    pool: Name
    secret: Name
    generation: str
    outcome: KeyOutcome
    was_probe: bool
    retry_after_seconds: Count | None = None


class KeySync(Struct, frozen=True, rename="camel"):
    """Broker to control plane, every few seconds: what was seen since, and that this broker is alive."""

    broker: Name
    reports: tuple[KeyReport, ...] = ()


class KeyOrders(Struct, frozen=True, rename="camel"):
    """Control plane to broker: these keys are yours to probe now; ask again within `sync_again_seconds`."""

    probe: tuple[KeyReference, ...] = ()
    sync_again_seconds: Count = 5


class MessageError(ValueError):
    """A message can't be used; the text says what and where."""


def decode(raw: bytes | str, kind: type[Message]) -> Message:
    """Parse one message. Raises MessageError with the place of the first fault."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MessageError(f"The message can't be used: {error}.") from error
