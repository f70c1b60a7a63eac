"""The step `apply`: makes the cluster hold what was built, and nothing that was not."""

from dataclasses import dataclass, replace

from mistral_voice.contract import names
from mistral_voice.controller.build import Child, Desired
from mistral_voice.controller.build.deployment import template_hash
from mistral_voice.controller.build.token_secret import TOKEN_KEY, rotation, token_secret
from mistral_voice.controller.gather import Visit
from mistral_voice.controller.input import Input, Refusal, TakenName, TokenState
from mistral_voice.controller.observed import deployment_state
from mistral_voice.controller.secret_reader import new_token, secret_value
from mistral_voice.kube.apply import Action, Applier, Outcome
from mistral_voice.kube.client import Client
from mistral_voice.kube.errors import ApiError, Forbidden, Invalid, NotFound
from mistral_voice.kube.observed import Observed, ObservedWorkload
from mistral_voice.kube.ownership import Owner, owner_uid_of
from mistral_voice.kube.resources import DEPLOYMENT, SECRET, Resource

_DONE = frozenset({Action.CREATED, Action.APPLIED, Action.UNCHANGED})


@dataclass(frozen=True)
class Applied:
    """What became of a visit's children."""

    outcomes: tuple[Outcome, ...] = ()
    refused: Refusal | None = None

    @property
    def created(self) -> bool:
        """Tell whether the visit made the Deployment: the plain creation of an integration deserves no event of its own."""
        return any(outcome.action is Action.CREATED and outcome.resource == DEPLOYMENT for outcome in self.outcomes)

    @property
    def kept_from_rollout(self) -> bool:
        """Tell whether a refusal or a name that is taken ended the visit's writes before the Deployment was as wanted."""
        deployed = any(outcome.resource == DEPLOYMENT and outcome.action in _DONE for outcome in self.outcomes)
        return not deployed and (self.refused is not None or any(outcome.action not in _DONE for outcome in self.outcomes))

    @property
    def _token_made(self) -> bool:
        return any(outcome.action is Action.CREATED and outcome.resource == SECRET for outcome in self.outcomes)

    def onto(self, known: Input) -> Input:
        """Return the facts with the outcomes in them."""
        taken = tuple(
            TakenName(outcome.resource.kind, outcome.key.name, outcome.message, leaving=outcome.action is Action.TERMINATING)
            for outcome in self.outcomes
            if outcome.action in (Action.NAME_TAKEN, Action.TERMINATING)
        )
        refused = next((outcome for outcome in self.outcomes if outcome.action is Action.REFUSED), None)
        workload = next((outcome.observed for outcome in self.outcomes if isinstance(outcome.observed, ObservedWorkload)), None)
        return replace(
            known,
            deployment=deployment_state(workload) if workload is not None else known.deployment,
            token=TokenState(ours=True, has_token=True) if self._token_made else known.token,
            taken=taken,
            refused=Refusal(refused.resource.kind, refused.key.name, refused.message) if refused is not None else self.refused,
        )


class Children:
    """Applies and prunes the children of one integration at a time."""

    def __init__(self, client: Client, applier: Applier) -> None:
        self._client = client
        self._applier = applier

    async def apply(self, visit: Visit, desired: Desired) -> Applied:
        """Apply what is desired, each child in its turn; a foreign object of a child's name is left alone and ends the visit's writes."""
        if desired.hold:
            return Applied()
        owner = Owner(names.API_VERSION, names.KIND, visit.key.namespace, visit.key.name, visit.known.uid)
        outcomes: list[Outcome] = []
        for step in (self._foreseen, self._ensure):
            for child in desired.objects:
                try:
                    outcome = await step(visit, child, owner)
                except ApiError as error:
                    if not _is_refusal(error):
                        raise
                    return Applied(tuple(outcomes), refused=_refusal(child.resource.kind, child.body["metadata"]["name"], error))
                if outcome is not None:
                    outcomes.append(outcome)
                    if outcome.action not in _DONE:
                        return Applied(tuple(outcomes))
        return Applied(tuple(outcomes), refused=await self._prune(visit, desired, owner))

    async def _foreseen(self, visit: Visit, child: Child, owner: Owner) -> Outcome | None:
        # A Deployment that the API server won't take must not leave a changed ConfigMap behind: a pod that restarts would read it.
        # The template has the configuration's hash in it, so with the same template there is nothing to foresee.
        present = _present(visit, child.resource) if child.resource == DEPLOYMENT else None
        if not isinstance(present, ObservedWorkload) or present.template_hash == template_hash(child):
            return None
        return await self._applier.refusal(child.resource, child.body, owner, present)

    async def _ensure(self, visit: Visit, child: Child, owner: Owner) -> Outcome | None:
        if child.resource == SECRET:
            return None if visit.token_unread else await self._token(visit, owner)
        return await self._applier.ensure(child.resource, child.body, owner, _present(visit, child.resource))

    async def _token(self, visit: Visit, owner: Owner) -> Outcome:
        outcome = await self._applier.ensure_secret(token_secret(visit.known, new_token), owner, visit.token)
        if visit.token is not None and outcome.action is Action.UNCHANGED:
            patch = rotation(visit.known, secret_value(visit.token.get("data") or {}, TOKEN_KEY), new_token)
            if patch is not None:
                patch["metadata"] = {**patch.get("metadata", {}), "resourceVersion": visit.token["metadata"]["resourceVersion"]}
                await self._client.merge_patch(SECRET, visit.key.namespace, outcome.key.name, patch, field_manager=names.FIELD_MANAGER)
                return replace(outcome, action=Action.APPLIED)
        return outcome

    async def _prune(self, visit: Visit, desired: Desired, owner: Owner) -> Refusal | None:
        name = names.child_name(visit.key.name)
        stay = {child.resource for child in desired.objects} | desired.kept
        orphans = [
            (resource, observed)
            for resource, objects in visit.children.items()
            for observed in objects
            if not observed.deleting and (resource not in stay or observed.name != name)
        ]
        for resource, orphan in orphans:
            try:
                await self._applier.delete(resource, orphan, owner)
            except Forbidden as error:
                return _refusal(resource.kind, orphan.name, error)
        if SECRET not in stay:
            await self._drop_token(visit)
        return None

    async def _drop_token(self, visit: Visit) -> None:
        # Secrets are not watched: once the tenant brings a token, the one that was made is looked for by its name.
        name = names.token_secret_name(visit.key.name)
        try:
            metadata = (await self._client.get(SECRET, visit.key.namespace, name, metadata_only=True))["metadata"]
        except NotFound:
            return
        if owner_uid_of(metadata, names.INTEGRATION_UID_LABEL) == visit.known.uid:
            await self._client.delete(SECRET, visit.key.namespace, name, uid=metadata["uid"], resource_version=metadata["resourceVersion"])


def _is_refusal(error: ApiError) -> bool:
    # A webhook that can't be reached is a 500 of the API server's; it may last for days, so the tenant is told.
    return isinstance(error, Forbidden | Invalid) or "failed calling webhook" in error.message


def _refusal(kind: str, name: str, error: ApiError) -> Refusal:
    # But for 422 the same spec may succeed later: a right that is missing, a quota that is used up, a webhook that is down.
    return Refusal(kind, name, error.message, passing=not isinstance(error, Invalid))


def _present(visit: Visit, resource: Resource) -> Observed | None:
    name = names.child_name(visit.key.name)
    return next((observed for observed in visit.children.get(resource, ()) if observed.name == name), None)
