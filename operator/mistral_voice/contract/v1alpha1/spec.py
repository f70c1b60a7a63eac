"""`spec` of a MistralVoiceIntegration."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from mistral_voice.contract.integration import OwnershipMode, TurnDetection
from mistral_voice.contract.v1alpha1.base import Boolean, Host, Integer, ObjectName, ResourceModel, Rule, SecretKey
from mistral_voice.contract.v1alpha1.pod import GatewayTemplate, ResourceRequirements

_IDENTIFIER = "[A-Za-z0-9][A-Za-z0-9._:/@-]*"


def _identifier(sentence: str) -> tuple[AfterValidator, Any]:
    # The same rule twice: in CEL for the API server's answer, in Python for the operator's own check.
    def check(value: str) -> str:
        if re.fullmatch(_IDENTIFIER, value, re.ASCII) is None:
            raise PydanticCustomError("identifier", "{sentence}", {"sentence": sentence})
        return value

    rule: JsonDict = {"rule": f"self.matches('^{_IDENTIFIER}$')", "message": sentence}
    return AfterValidator(check), Field(json_schema_extra={"x-kubernetes-validations": [rule]})


ModelName = Annotated[
    str,
    StringConstraints(max_length=128),
    *_identifier("must be the name of a Mistral model, such as mistral-medium-latest: it is blank or has characters that no model has"),
]
VoiceId = Annotated[
    str,
    StringConstraints(max_length=128),
    *_identifier("must be the id of a Mistral voice, or default: it is blank or has characters that no voice has"),
]
Origin = Annotated[str, StringConstraints(max_length=253, pattern=r"^https?://[a-z0-9.-]+(:[0-9]{1,5})?$")]


class IntegrationConfig(ResourceModel):
    """The integration's configuration, as ContractSpec's ai-voice-conv.mistral has it."""

    model: ModelName = "mistral-medium-latest"
    """Mistral model used for response generation in conversational sessions."""
    default_voice: VoiceId = "default"
    """Default voice profile for agent responses; `default` is the voice that the operator is configured with."""
    turn_detection: TurnDetection = TurnDetection.SERVER_VAD
    """Turn detection strategy used during live conversations. With push_to_talk, clients must commit each turn themselves.

    With server_vad, a client may choose semantic_vad, or to commit its turns itself, by session.update.
    """
    max_session_duration_seconds: Annotated[Integer, Field(ge=1, le=3600)] = 600
    """Maximum allowed conversational session duration, in seconds."""


class SecretKeyReference(ResourceModel):
    """A key of a Secret in the integration's namespace."""

    name: ObjectName
    """Name of the Secret."""
    key: SecretKey = "apiKey"
    """Key of the Secret's data that holds the Mistral API key."""


class SecretReference(ResourceModel):
    """A Secret in the integration's namespace."""

    name: ObjectName
    """Name of the Secret."""


class PlanReference(ResourceModel):
    """A MistralVoicePlan."""

    name: ObjectName
    """Name of the plan."""


class Policy(ResourceModel):
    """What clients may choose. A client can narrow it, never widen it."""

    allowed_models: Annotated[tuple[ModelName, ...], Field(max_length=32)] | None = None
    """Models that a client may ask for, beside config.model."""
    allowed_voices: Annotated[tuple[VoiceId, ...], Field(max_length=64)] | None = None
    """Voices that a client may ask for, beside config.defaultVoice. Only that one is looked for at Mistral before it is to speak."""
    instructions: Annotated[str, StringConstraints(max_length=16384)] | None = None
    """Instructions that precede whatever a client sends."""
    allowed_origins: Annotated[tuple[Origin, ...], Field(max_length=32)] | None = None
    """Web origins from which browsers may connect, such as https://app.example.com."""
    playground: Boolean = False
    """Whether the gateway serves a page on which a person can talk to the integration."""
    resume_after_false_interruption: Boolean = True
    """Whether a reply that was interrupted by a cough or a mere mhm goes on."""


class Autoscaling(ResourceModel):
    """Scaling by the number of live sessions, with a HorizontalPodAutoscaler."""

    min_replicas: Annotated[Integer, Field(ge=1, le=100)] = 1
    """Least number of gateway pods."""
    max_replicas: Annotated[Integer, Field(ge=1, le=100)]
    """Greatest number of gateway pods."""
    target_sessions_per_pod: Annotated[Integer, Field(ge=1, le=1000)] | None = None
    """Live sessions per pod to aim at; 70 % of maxSessionsPerPod if unset."""

    rules = (
        Rule(
            "self.minReplicas <= self.maxReplicas",
            "minReplicas must not be greater than maxReplicas",
            lambda a: a.min_replicas <= a.max_replicas,
        ),
    )


class GatewayAuth(ResourceModel):
    """How clients authenticate."""

    token_secret_ref: SecretReference | None = None
    """A Secret of yours with the keys `token` and, during a rotation, `previousToken`. If unset, the operator makes one."""


class GatewayTLS(ResourceModel):
    """TLS on the gateway itself."""

    secret_ref: SecretReference
    """A Secret of type kubernetes.io/tls."""


class ParentReference(ResourceModel):
    """A Gateway (gateway.networking.k8s.io) that the route attaches to."""

    name: ObjectName
    """Name of the Gateway."""
    namespace: Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")] | None = None
    """Namespace of the Gateway; the integration's own if unset."""
    section_name: ObjectName | None = None
    """Listener of the Gateway."""
    port: Annotated[Integer, Field(ge=1, le=65535)] | None = None
    """Port of the Gateway."""


class HTTPRouteExposure(ResourceModel):
    """Exposure by an HTTPRoute."""

    parent_refs: Annotated[tuple[ParentReference, ...], Field(min_length=1, max_length=8)]
    """Gateways that the route attaches to."""
    hostnames: Annotated[tuple[Host, ...], Field(max_length=16)] | None = None
    """Host names that the route answers to."""


class IngressExposure(ResourceModel):
    """Exposure by an Ingress."""

    class_name: ObjectName | None = None
    """IngressClass; the cluster's default if unset."""
    host: Host
    """Host name."""
    tls_secret_ref: SecretReference | None = None
    """A Secret of type kubernetes.io/tls for the host."""


class Exposure(ResourceModel):
    """How clients outside the cluster reach the gateway."""

    http_route: Annotated[HTTPRouteExposure | None, Field(alias="httpRoute")] = None
    """Makes an HTTPRoute of the Gateway API."""
    ingress: IngressExposure | None = None
    """Makes an Ingress."""


class Gateway(ResourceModel):
    """The session-gateway pods."""

    replicas: Annotated[Integer, Field(ge=0, le=100)] = 1
    """Number of gateway pods; ignored while autoscaling is set."""
    autoscaling: Autoscaling | None = None
    """Scaling by live sessions instead of a fixed number."""
    max_sessions_per_pod: Annotated[Integer, Field(ge=1, le=1000)] = 100
    """Live sessions that one pod accepts."""
    drain_timeout_seconds: Annotated[Integer, Field(ge=0, le=3600)] | None = None
    """How long live sessions may run on when a pod stops, in seconds; the lesser of maxSessionDurationSeconds and 540 if unset."""
    resources: ResourceRequirements | None = None
    """Compute resources of the gateway container; requests of 100m CPU and 192Mi memory if unset."""
    auth: GatewayAuth | None = None
    """How clients authenticate; by a token that the operator makes if unset."""
    tls: GatewayTLS | None = None
    """TLS on the gateway itself; plain inside the cluster if unset."""
    expose: Exposure | None = None
    """How clients outside the cluster reach the gateway; not at all if unset."""
    template: GatewayTemplate | None = None
    """What is added to the pods."""


class HealthCheck(ResourceModel):
    """The custom health check. Its time-out is the contract's 5000 ms."""

    interval_seconds: Annotated[Integer, Field(ge=10, le=86400)] = 300
    """Time between two checks, in seconds; spread by 20 %."""


_BYOK_NEEDS_SECRET = "byok needs secretRef: name the Secret that holds your Mistral API key"  # noqa: S105 - a sentence
_BYOK_HAS_NO_PLAN = "byok uses your own key, so planRef is not allowed: remove planRef, or create the integration with mode managed"
_MANAGED_NEEDS_PLAN = "managed needs planRef: name the MistralVoicePlan to claim"
_MANAGED_HAS_NO_SECRET = (
    "managed uses the platform's key, so secretRef is not allowed: remove secretRef, or create the integration with mode byok"  # noqa: S105
)
_MANAGED_HAS_NO_ENDPOINT = "managed goes through the platform's broker, so endpoint is not allowed: remove endpoint"


class IntegrationSpecification(ResourceModel):
    """What is wanted."""

    mode: Annotated[
        OwnershipMode,
        Field(
            json_schema_extra={
                "x-kubernetes-validations": [
                    {
                        "rule": "self == oldSelf",
                        "message": "mode can't be changed: delete the integration and create it again with the other mode",
                    }
                ]
            }
        ),
    ]
    """Who owns the Mistral key: `byok`, the tenant; `managed`, the platform. Can't be changed."""
    config: IntegrationConfig = IntegrationConfig()
    """Configuration of the conversation; every field has a default."""
    secret_ref: SecretKeyReference | None = None
    """The Secret that holds the Mistral API key; needed with byok, forbidden with managed."""
    plan_ref: PlanReference | None = None
    """The plan to claim; needed with managed, forbidden with byok."""
    endpoint: Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")] | None = None
    """byok: name of one of the endpoints that the administrator allows; `default` if unset. Never a URL."""
    policy: Policy | None = None
    """What clients may choose."""
    gateway: Gateway = Gateway()
    """The session-gateway pods."""
    health_check: HealthCheck = HealthCheck()
    """The custom health check."""
    suspend: Boolean = False
    """Stops serving: live sessions drain, then no pod runs."""

    rules = (
        Rule("self.mode != 'byok' || has(self.secretRef)", _BYOK_NEEDS_SECRET, lambda s: s.mode != "byok" or s.secret_ref is not None),
        Rule(
            "self.mode != 'byok' || !has(self.planRef)",
            _BYOK_HAS_NO_PLAN,
            lambda s: s.mode != "byok" or s.plan_ref is None,
            field="planRef",
        ),
        Rule("self.mode != 'managed' || has(self.planRef)", _MANAGED_NEEDS_PLAN, lambda s: s.mode != "managed" or s.plan_ref is not None),
        Rule(
            "self.mode != 'managed' || !has(self.secretRef)",
            _MANAGED_HAS_NO_SECRET,
            lambda s: s.mode != "managed" or s.secret_ref is None,
            field="secretRef",
        ),
        Rule(
            "self.mode != 'managed' || !has(self.endpoint)",
            _MANAGED_HAS_NO_ENDPOINT,
            lambda s: s.mode != "managed" or s.endpoint is None,
            field="endpoint",
        ),
    )
