"""What one pass over an integration knows. The shell collects it; everything after it is pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

from mistral_voice.contract.integration import OwnershipMode
from mistral_voice.contract.v1alpha1.plan import PlanSpecification
from mistral_voice.contract.v1alpha1.spec import IntegrationSpecification
from mistral_voice.contract.vocabulary import SecretErrorCode, ValidationIssue
from mistral_voice.controller.health.thresholds import Health
from mistral_voice.controller.managed.facts import Platform
from mistral_voice.controller.previous import PreviousStatus
from mistral_voice.controller.reasons import Reason
from mistral_voice.controller.settings import Endpoint, OperatorFile

DEFAULT_ENDPOINT = "default"
BROKER_ENDPOINT = "broker"


@dataclass(frozen=True, slots=True)
class ResolvedCredential:
    """The reference leads to a well-formed key.

    `digest` is a keyed hash of the key, of this process's life only; None when the key was not read since the start, because an earlier
    process resolved it and no check is due. `rotated_at` is when this process saw the key change.
    """

    trimmed: bool = False
    digest: str | None = None
    rotated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class UnresolvedCredential:
    """The reference leads to no usable key. `sentence` says why and never quotes a value."""

    code: SecretErrorCode
    reason: Reason
    sentence: str
    suggestion: str


CredentialState = ResolvedCredential | UnresolvedCredential


@dataclass(frozen=True)
class TokenState:
    """What is to be known of the client-token Secret, the operator's or the tenant's own: facts, never values.

    `ours` is false for a tenant's own and for a foreign object. `rotation_mark` is the value of our annotation for which the token was last
    rotated, `rotated_at` when.
    """

    ours: bool
    has_token: bool
    has_previous_token: bool = False
    rotation_mark: str | None = None
    rotated_at: datetime | None = None


@dataclass(frozen=True)
class DeploymentCondition:
    """One condition of the Deployment, as Kubernetes words it."""

    type: str
    status: str
    reason: str = ""
    message: str = ""


@dataclass(frozen=True)
class DeploymentState:
    """The gateway's Deployment as last seen. `wanted_replicas` is its `spec.replicas`; `replicas_owned_by_other` tells that another field
    manager, such as an autoscaler, holds that field. `template_hash` is our own hash of the pod template that it was built with.
    """

    generation: int = 1
    observed_generation: int = 0
    wanted_replicas: int = 1
    replicas_owned_by_other: bool = False
    replicas: int = 0
    updated_replicas: int = 0
    ready_replicas: int = 0
    terminating_replicas: int = 0
    conditions: tuple[DeploymentCondition, ...] = ()
    template_hash: str = ""

    def condition(self, condition_type: str) -> DeploymentCondition | None:
        """Return the condition of this type."""
        return next((condition for condition in self.conditions if condition.type == condition_type), None)


@dataclass(frozen=True)
class PodTrouble:
    """Why pods don't get ready, in the words of the pod, its node or the API server; one line, bounded."""

    reason: Reason
    message: str


@dataclass(frozen=True)
class TakenName:
    """A child's name is borne by an object that is not ours. `sentence` says whose it is.

    `leaving` tells that it belongs to a former integration of the same name, or is being deleted, and goes by itself.
    """

    kind: str
    name: str
    sentence: str = ""
    leaving: bool = False


@dataclass(frozen=True)
class Refusal:
    """The API server refused a child. `sentence` is the server's.

    `passing` tells that a later attempt may succeed with the same spec: a right that is missing, a quota that is used up.
    """

    kind: str
    name: str
    sentence: str
    passing: bool = False


@dataclass(frozen=True)
class Input:
    """One integration and everything around it, at one moment.

    `spec` is None when it can't be parsed; `spec_issues` then say why. `credential` is None where none is looked for. `absent_secrets` are
    the Secrets, other than the key's, that the spec names and that don't exist. `deployment` is None when there is none. `rollout_allowed`
    is false while a roll-out that only an upgrade of the operator causes has to wait for its turn. `platform` is None with mode byok, and
    where managed mode is not installed; `usage` is `status.usage` where the control plane has told of it. `now` is UTC.
    """

    namespace: str
    name: str
    uid: str
    generation: int
    operator: OperatorFile
    now: datetime
    spec: IntegrationSpecification | None
    spec_issues: tuple[ValidationIssue, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    previous: PreviousStatus = field(default_factory=PreviousStatus)
    credential: CredentialState | None = None
    token: TokenState | None = None
    absent_secrets: frozenset[str] = frozenset()
    deployment: DeploymentState | None = None
    trouble: PodTrouble | None = None
    taken: tuple[TakenName, ...] = ()
    refused: Refusal | None = None
    health: Health = field(default_factory=Health)
    rollout_allowed: bool = True
    gateway_api_installed: bool = True
    platform: Platform | None = None
    usage: Mapping[str, Any] | None = None

    @property
    def valid_spec(self) -> IntegrationSpecification:
        """Return the spec. Raises ValueError if it can't be parsed; checks and builders that need it run only when it can."""
        if self.spec is None:
            raise ValueError(f"{self.namespace}/{self.name} has no valid spec")
        return self.spec

    @property
    def managed(self) -> bool:
        """Tell whether the platform owns the key."""
        return self.spec is not None and self.spec.mode is OwnershipMode.MANAGED

    @property
    def told_usage(self) -> Mapping[str, Any] | None:
        """Return what the control plane told last of this integration's use; mode byok has none."""
        usage = self.usage or self.previous.raw.get("usage")
        return usage if self.managed and isinstance(usage, Mapping) else None

    @property
    def granted_plan(self) -> PlanSpecification | None:
        """Return the plan that the platform grants, or None: mode byok, no such plan, or not for this namespace."""
        return self.platform.granted if self.managed and self.platform is not None else None

    @property
    def endpoint(self) -> Endpoint | None:
        """Return the way to Mistral. byok: the endpoint that the spec names, None if the administrator's list has none of that name.

        managed: the broker, None where managed mode is not installed. Neither ever stands in for the other.
        """
        if self.managed:
            return self._broker
        wanted = self.valid_spec.endpoint or DEFAULT_ENDPOINT
        return next((endpoint for endpoint in self.operator.endpoints if endpoint.name == wanted), None)

    @property
    def _broker(self) -> Endpoint | None:
        installed = self.operator.managed_mode
        if installed is None or self.platform is None:
            return None
        # Both parts were checked where they were read.
        return Endpoint.model_construct(name=BROKER_ENDPOINT, url=installed.broker.url, ca_bundle=self.platform.ca_bundle)

    @property
    def voice(self) -> str:
        """Return the id of the default voice, with `default` resolved to the operator's."""
        wanted = self.valid_spec.config.default_voice
        return self.operator.default_voice if wanted == "default" else wanted
