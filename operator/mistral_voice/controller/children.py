"""The step `apply`: makes the cluster hold what was built, and nothing that was not."""

from dataclasses import dataclass, replace

from mistral_voice.contract import names
from mistral_voice.controller.build import Desired
from mistral_voice.controller.build.token_secret import TOKEN_KEY, rotation, token_secret
from mistral_voice.controller.gather import Visit
from mistral_voice.controller.input import Input, Refusal, TakenName
from mistral_voice.controller.secret_reader import new_token, secret_value
from mistral_voice.kube.apply import Action, Applier, Outcome, Owner
from mistral_voice.kube.client import Client
from mistral_voice.kube.observed import Observed
from mistral_voice.kube.resources import DEPLOYMENT, SECRET, Resource


@dataclass(frozen=True)
class Applied:
    """What became of a visit's children."""

    outcomes: tuple[Outcome, ...] = ()
    pruned: tuple[str, ...] = ()

    @property
    def created(self) -> bool:
        """Tell whether the visit made the Deployment: the plain creation of an integration deserves no event of its own."""
        return any(outcome.action is Action.CREATED and outcome.resource == DEPLOYMENT for outcome in self.outcomes)

    def onto(self, known: Input) -> Input:
        """Return the facts with the outcomes in them."""
        taken = tuple(
            TakenName(outcome.resource.kind, outcome.key.name, outcome.message, leaving=outcome.action is Action.TERMINATING)
            for outcome in self.outcomes
            if outcome.action in (Action.NAME_TAKEN, Action.TERMINATING)
        )
        refused = next((outcome for outcome in self.outcomes if outcome.action is Action.REFUSED), None)
        return replace(
            known,
            taken=taken,
            refused=Refusal(refused.resource.kind, refused.key.name, refused.message) if refused is not None else None,
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
        for child in desired.objects:
            if child.resource == SECRET:
                outcomes.append(await self._token(visit, owner))
            else:
                outcomes.append(await self._applier.ensure(child.resource, child.body, owner, _present(visit, child.resource)))
            if outcomes[-1].action in (Action.NAME_TAKEN, Action.TERMINATING, Action.REFUSED):
                break
        else:
            return Applied(tuple(outcomes), await self._prune(visit, desired))
        return Applied(tuple(outcomes))

    async def _token(self, visit: Visit, owner: Owner) -> Outcome:
        outcome = await self._applier.ensure_secret(token_secret(visit.known, new_token), owner, visit.token)
        if visit.token is not None and outcome.action is Action.UNCHANGED:
            patch = rotation(visit.known, secret_value(visit.token.get("data") or {}, TOKEN_KEY), new_token)
            if patch is not None:
                patch["metadata"] = {**patch.get("metadata", {}), "resourceVersion": visit.token["metadata"]["resourceVersion"]}
                await self._client.merge_patch(SECRET, visit.key.namespace, outcome.key.name, patch, field_manager=names.FIELD_MANAGER)
                return replace(outcome, action=Action.APPLIED)
        return outcome

    async def _prune(self, visit: Visit, desired: Desired) -> tuple[str, ...]:
        name = names.child_name(visit.key.name)
        stay = {child.resource for child in desired.objects} | desired.kept
        orphans = [
            (resource, observed)
            for resource, objects in visit.children.items()
            for observed in objects
            if not observed.deleting and (resource not in stay or observed.name != name)
        ]
        return tuple([f"{resource.kind}/{orphan.name}" for resource, orphan in orphans if await self._applier.delete(resource, orphan)])


def _present(visit: Visit, resource: Resource) -> Observed | None:
    name = names.child_name(visit.key.name)
    return next((observed for observed in visit.children.get(resource, ()) if observed.name == name), None)
