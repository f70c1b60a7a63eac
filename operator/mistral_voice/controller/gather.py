"""The first step of a visit: everything that is known of one integration, as one immutable `Input`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from mistral_voice.contract import names
from mistral_voice.contract.integration import OwnershipMode
from mistral_voice.contract.secret import Secret
from mistral_voice.contract.v1alpha1.integration import parse_spec
from mistral_voice.contract.v1alpha1.spec import IntegrationSpecification
from mistral_voice.contract.vocabulary import SecretErrorCode
from mistral_voice.controller.build.common import selector_text, token_secret_name
from mistral_voice.controller.build.token_secret import token_wanted
from mistral_voice.controller.credential import assess, restored_credential
from mistral_voice.controller.health.schedule import first_check_after_restart
from mistral_voice.controller.health.target import probe_target
from mistral_voice.controller.health.thresholds import Health, restored_health
from mistral_voice.controller.input import CredentialState, Input, PodTrouble, ResolvedCredential, TokenState
from mistral_voice.controller.managed.facts import Platform
from mistral_voice.controller.managed.usage import Usage
from mistral_voice.controller.memory import Memories, Memory
from mistral_voice.controller.observed import deployment_state, pod_trouble
from mistral_voice.controller.previous import PreviousStatus, parse_status
from mistral_voice.controller.reasons import ConditionType
from mistral_voice.controller.rollout import rolled_out
from mistral_voice.controller.secret_reader import SecretReader, token_state
from mistral_voice.controller.settings import OperatorFile
from mistral_voice.controller.store import StoredIntegration
from mistral_voice.kube.client import Client
from mistral_voice.kube.errors import Forbidden
from mistral_voice.kube.objects import KubeObject, ObjectKey
from mistral_voice.kube.observed import Observed, ObservedWorkload
from mistral_voice.kube.resources import DEPLOYMENT, HTTP_ROUTE, POD, Resource
from mistral_voice.kube.watch import Watches

FIRST_RETRY = timedelta(seconds=1)
LONGEST_RETRY = timedelta(seconds=30)
_TOKEN_IN_ORDER = TokenState(ours=True, has_token=True)
_TENANTS_TOKEN_UNREAD = TokenState(ours=False, has_token=True)
"""A tenant's own token that the operator may not read: the kubelet mounts it all the same."""


@dataclass(frozen=True)
class Visit:
    """One visit to an integration: the facts (`known`), and what the shell needs to act on them.

    `api_key` is there when the key was read in this visit. `token` is the client-token Secret as read, None if it doesn't exist or, with
    `token_unread`, was not looked for.
    """

    key: ObjectKey
    body: KubeObject = field(repr=False)
    resource_version: str
    memory: Memory
    known: Input
    children: Mapping[Resource, tuple[Observed, ...]]
    token: KubeObject | None = field(repr=False)
    api_key: Secret | None
    token_unread: bool = False


@dataclass(frozen=True)
class Gatherer:
    """Collects the facts of a visit. It reads; it never writes."""

    client: Client
    watches: Watches
    memories: Memories
    operator: OperatorFile
    now: Callable[[], datetime]
    digest: Callable[[Secret], str]
    jitter: Callable[[], float]
    platform: Callable[[str, str], Platform] | None = None
    """What concerns an integration of a namespace that claims a plan; None where managed mode is not installed."""
    usage: Callable[[ObjectKey, str], Usage | None] | None = None
    """What an integration has used of a plan."""

    async def gather(self, key: ObjectKey, stored: StoredIntegration) -> Visit:
        """Return the facts of one integration, as of now."""
        body, now = stored.decoded(), self.now()
        metadata = body["metadata"]
        previous = parse_status(body.get("status"))
        parsed = parse_spec(body.get("spec"))
        spec = parsed if isinstance(parsed, IntegrationSpecification) else None
        memory = self._memory(key, stored.uid, metadata["generation"], spec, previous, now)
        children = self.watches.of_owner(stored.uid, key.namespace)
        workload = _workload(children, names.child_name(key.name))
        known = Input(
            namespace=key.namespace,
            name=key.name,
            uid=stored.uid,
            generation=metadata["generation"],
            operator=self.operator,
            now=now,
            spec=spec,
            spec_issues=() if isinstance(parsed, IntegrationSpecification) else tuple(parsed),
            annotations=metadata.get("annotations") or {},
            previous=previous,
            deployment=deployment_state(workload) if workload is not None else None,
            health=memory.health,
            gateway_api_installed=not self.watches[HTTP_ROUTE].absent,
            platform=self._platform(key.namespace, spec),
            usage=self._usage(key, spec),
        )
        health = _health_of_target(known, memory)
        if health is not known.health:
            known = replace(known, health=health)
        credential, api_key = await self._credential(known, memory)
        new_here = not any(children.values()) and previous.observed_generation is None
        vouched_for, memory.vouched_for = memory.vouched_for, False
        token_unread = vouched_for and _token_can_wait(known)
        token, state = (None, _TOKEN_IN_ORDER) if token_unread else await self._token(known, new_here=new_here)
        known = replace(
            known,
            credential=credential,
            token=state,
            absent_secrets=await self._absent_secrets(known),
            trouble=await self._trouble(known),
        )
        return Visit(key, body, stored.resource_version, memory, known, children, token, api_key, token_unread)

    def _platform(self, namespace: str, spec: IntegrationSpecification | None) -> Platform | None:
        if self.platform is None or spec is None or spec.mode is not OwnershipMode.MANAGED or spec.plan_ref is None:
            return None
        return self.platform(namespace, spec.plan_ref.name)

    def _usage(self, key: ObjectKey, spec: IntegrationSpecification | None) -> Usage | None:
        return None if self.usage is None or spec is None or spec.plan_ref is None else self.usage(key, spec.plan_ref.name)

    def _memory(
        self, key: ObjectKey, uid: str, generation: int, spec: IntegrationSpecification | None, previous: PreviousStatus, now: datetime
    ) -> Memory:
        memory = self.memories.of(key, uid)
        if memory is None:
            memory = self.memories.keep(key, Memory(uid))
            if spec is not None and previous.observed_generation == generation:
                self._restore(memory, spec, previous, now)
                memory.generation = generation
        memory.turn_to(generation)
        memory.begin_visit(now)
        return memory

    def _restore(self, memory: Memory, spec: IntegrationSpecification, previous: PreviousStatus, now: datetime) -> None:
        healthy = previous.conditions.get(ConditionType.HEALTHY)
        if healthy is not None:
            memory.health = restored_health(healthy.status, healthy.reason, healthy.message, previous.consecutive_failures)
        memory.credential = restored_credential(previous, spec)
        if memory.credential is not None and healthy is not None:
            memory.next_check_at = first_check_after_restart(memory.health, spec.health_check.interval_seconds, now, self.jitter)
            memory.vouched_for = True

    async def _credential(self, known: Input, memory: Memory) -> tuple[CredentialState | None, Secret | None]:
        reference = known.spec.secret_ref if known.spec is not None and not known.managed else None
        if reference is None:
            return None, None
        resolved = isinstance(memory.credential, ResolvedCredential)
        if resolved and memory.next_check_at is not None and known.now < memory.next_check_at:
            return memory.credential, None
        answer = await SecretReader(self.client).read(known.namespace, reference.name)
        found, api_key = assess(reference, answer, self.digest)
        if isinstance(found, ResolvedCredential):
            found = _rotation_noticed(found, memory.credential, known.now)
            memory.credential_retry_seconds = 0.0
        else:
            grown = min(memory.credential_retry_seconds * 2, LONGEST_RETRY.total_seconds())
            memory.credential_retry_seconds = grown or FIRST_RETRY.total_seconds()
        memory.credential = found
        return found, api_key

    async def _token(self, known: Input, *, new_here: bool) -> tuple[KubeObject | None, TokenState | None]:
        if known.spec is None or _unserved(known) or (new_here and token_wanted(known)):
            return None, None
        secret = await SecretReader(self.client).read(known.namespace, token_secret_name(known))
        if secret is SecretErrorCode.FORBIDDEN and not token_wanted(known):
            return None, _TENANTS_TOKEN_UNREAD
        if isinstance(secret, SecretErrorCode):
            return None, None
        return secret, token_state(secret, known.uid)

    async def _absent_secrets(self, known: Input) -> frozenset[str]:
        if known.spec is None:
            return frozenset()
        tls = known.spec.gateway.tls
        ingress = known.spec.gateway.expose.ingress if known.spec.gateway.expose is not None else None
        named = {tls.secret_ref.name} if tls is not None else set()
        if ingress is not None and ingress.tls_secret_ref is not None:
            named.add(ingress.tls_secret_ref.name)
        return frozenset([name for name in sorted(named) if not await SecretReader(self.client).exists(known.namespace, name)])

    async def _trouble(self, known: Input) -> PodTrouble | None:
        deployment = known.deployment
        if deployment is None or rolled_out(deployment):
            return None
        if deployment.observed_generation == 0:
            return None  # Its controller has not seen it yet, so it has no pods; the watch tells when it has.
        try:
            pods = await self.client.list_all(POD, known.namespace, label_selector=selector_text(known.name))
        except Forbidden:
            return None  # Pods only explain: without the right to see them the status is less wordy, not absent.
        return pod_trouble(pods, deployment)


def _token_can_wait(known: Input) -> bool:
    # After a restart thousands are visited at once. What an earlier process left in order is looked at again with its next health check.
    if known.spec is None or _unserved(known) or not token_wanted(known):
        return False
    return names.ROTATE_TOKEN_ANNOTATION not in known.annotations


def _unserved(known: Input) -> bool:
    """Tell whether nothing runs because managed mode is not installed."""
    return known.managed and known.platform is None


def _workload(children: Mapping[Resource, tuple[Observed, ...]], name: str) -> ObservedWorkload | None:
    # By its name: somebody's copy of the Deployment bears our labels as well.
    return next((child for child in children.get(DEPLOYMENT, ()) if child.name == name and isinstance(child, ObservedWorkload)), None)


def _health_of_target(known: Input, memory: Memory) -> Health:
    # What was found of one model, voice and endpoint says nothing about another.
    target = probe_target(known) if known.spec is not None else None
    if memory.target is not None and memory.target != target:
        memory.health = Health()
    memory.target = target
    return memory.health


def _rotation_noticed(found: ResolvedCredential, before: CredentialState | None, now: datetime) -> ResolvedCredential:
    if not isinstance(before, ResolvedCredential) or before.digest is None:
        return found
    return replace(found, rotated_at=now if before.digest != found.digest else before.rotated_at)
