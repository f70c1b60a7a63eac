"""`status` of a MistralVoiceIntegration."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from mistral_voice.contract.v1alpha1.base import Integer, ResourceModel
from mistral_voice.contract.vocabulary import ConnectionStatus, KeyValidationStatus, Severity

Word = Annotated[str, StringConstraints(max_length=128)]
Sentence = Annotated[str, StringConstraints(max_length=1024)]
SecretName = Annotated[str, StringConstraints(max_length=253)]
KeySource = Annotated[str, StringConstraints(max_length=520)]
"""`Secret/`, the longest name of a Secret, and the longest key of its data."""


class Condition(ResourceModel):
    """One observation of the resource's state, in the form of metav1.Condition."""

    type: Annotated[str, StringConstraints(max_length=316)]
    """Name of the condition."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    reason: Annotated[str, StringConstraints(min_length=1, max_length=1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")]
    """Why, in one CamelCase word."""
    message: Annotated[str, StringConstraints(max_length=32768)]
    """Why, in a sentence for people."""
    last_transition_time: datetime
    """When the status last changed."""
    observed_generation: Annotated[Integer, Field(ge=0)] | None = None
    """Generation of the spec that it was observed for."""


class Connection(ResourceModel):
    """The connection to Mistral, in ContractSpec's health shape."""

    status: ConnectionStatus = ConnectionStatus.UNKNOWN
    """State of the connection as of the last check."""
    checked_at: datetime | None = None
    """When it was last checked, as of the last change or at most 6 hours ago."""
    latency_ms: Annotated[Integer, Field(ge=0)] | None = None
    """How long that check took, in milliseconds."""
    error_code: Word | None = None
    """Why it failed, in one word."""
    error_message: Sentence | None = None
    """Why it failed, in a sentence."""
    consecutive_failures: Annotated[Integer, Field(ge=0)] | None = None
    """Failed checks in a row; thresholds survive a restart of the operator by it."""


class Credential(ResourceModel):
    """What is known of the key; never anything of its value."""

    source: KeySource | None = None
    """Where the key comes from, such as Secret/mistral."""
    validation_status: KeyValidationStatus = KeyValidationStatus.UNKNOWN
    """Whether Mistral accepts the key."""
    last_validated_at: datetime | None = None
    """When Mistral last accepted it, to the hour."""
    last_rotated_at: datetime | None = None
    """When the key was last seen to change."""


class GatewayEndpoint(ResourceModel):
    """An address that clients connect to."""

    type: Literal["Internal", "External"]
    """Inside the cluster, or from outside."""
    url: Annotated[str, StringConstraints(max_length=2048)]
    """WebSocket URL of the Realtime protocol."""


class GatewayStatus(ResourceModel):
    """The session-gateway pods as observed."""

    endpoints: Annotated[tuple[GatewayEndpoint, ...], Field(max_length=32)] = ()
    """Addresses that clients connect to."""
    token_secret_name: SecretName | None = None
    """The Secret that holds the client token."""
    replicas: Annotated[Integer, Field(ge=0)] = 0
    """Pods that exist."""
    ready_replicas: Annotated[Integer, Field(ge=0)] = 0
    """Pods that accept sessions."""


class Issue(ResourceModel):
    """One finding about the integration, in ContractSpec's form."""

    code: Word
    """What it is, in one word."""
    severity: Severity
    """How much it matters."""
    path: Annotated[str, StringConstraints(max_length=256)]
    """Where in the resource."""
    message: Sentence
    """What is wrong."""
    suggestion: Sentence = ""
    """What to do about it."""


class UsageLimits(ResourceModel):
    """A plan's limits for the period."""

    concurrent_sessions: Annotated[Integer, Field(ge=0)] | None = None
    """Sessions at the same time."""
    seconds: Annotated[Integer, Field(ge=0)] | None = None
    """Session seconds in the period."""


class Exhausted(ResourceModel):
    """Why every new session is refused until the period is over."""

    reason: Word
    """SecondsExhausted or SpendExhausted."""
    message: Sentence
    """Which limit it is."""


class Usage(ResourceModel):
    """Managed mode: what was used in the present period, coarsely."""

    period: Word | None = None
    """The period, such as 2026-11."""
    sessions: Annotated[Integer, Field(ge=0)] = 0
    """Sessions begun."""
    seconds: Annotated[Integer, Field(ge=0)] = 0
    """Session seconds."""
    limits: UsageLimits | None = None
    """The plan's limits."""
    exhausted: Exhausted | None = None
    """Set while a limit of the period leaves no room for a new session."""


class IntegrationStatus(ResourceModel):
    """What was observed."""

    observed_generation: Annotated[Integer, Field(ge=0)] | None = None
    """Generation of the spec that this status is about."""
    conditions: Annotated[
        tuple[Condition, ...],
        Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}),
    ] = ()
    """ConfigValid, CredentialResolved, Healthy, GatewayAvailable, Ready, Reconciling, Stalled; managed mode: WithinQuota."""
    connection: Connection | None = None
    """The connection to Mistral."""
    credential: Credential | None = None
    """What is known of the key."""
    gateway: GatewayStatus | None = None
    """The session-gateway pods."""
    selector: Annotated[str, StringConstraints(max_length=1024)] | None = None
    """Label selector of the pods, for the scale subresource."""
    issues: Annotated[tuple[Issue, ...], Field(max_length=32)] = ()
    """Findings, the gravest first."""
    usage: Usage | None = None
    """Managed mode: usage in the present period."""
