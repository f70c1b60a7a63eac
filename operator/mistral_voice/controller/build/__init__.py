"""Builders: what an integration wants in the cluster, one builder per kind. Pure, and the same objects for the same input."""

from collections.abc import Iterator
from dataclasses import dataclass

from mistral_voice.controller.build.common import Child
from mistral_voice.controller.build.config_map import config_map
from mistral_voice.controller.build.deployment import deployment
from mistral_voice.controller.build.horizontal_pod_autoscaler import horizontal_pod_autoscaler
from mistral_voice.controller.build.http_route import http_route
from mistral_voice.controller.build.ingress import ingress
from mistral_voice.controller.build.network_policy import network_policy
from mistral_voice.controller.build.pod_disruption_budget import pod_disruption_budget
from mistral_voice.controller.build.service import service
from mistral_voice.controller.build.service_account import service_account
from mistral_voice.controller.build.token_secret import token_secret_place, token_wanted
from mistral_voice.controller.credential import resolved_once
from mistral_voice.controller.input import Input
from mistral_voice.kube.resources import CONFIG_MAP, DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER, NETWORK_POLICY, Resource

__all__ = ["Child", "Desired", "build", "without_rollout"]


@dataclass(frozen=True)
class Desired:
    """What the children are to be.

    `objects` are applied in their order; the Secret among them stands for the client token, whose value is made where it is applied.
    `kept` kinds are left as they are, neither applied nor removed. With `hold`, nothing at all is applied or removed: the last good state
    goes on. Whatever else of our kinds exists is an orphan.
    """

    objects: tuple[Child, ...] = ()
    kept: frozenset[Resource] = frozenset()
    hold: bool = False


def build(known: Input, *, valid: bool) -> Desired:
    """Return the children that an integration wants; `valid` tells whether the checks found that its configuration can be carried out.

    Nothing is half-applied: a configuration that can't be carried out, or one that names a key that never resolved, leaves a gateway that
    runs as it is. The first Deployment waits for a Secret that resolves; from then on the Secret's absence changes nothing.
    """
    if known.spec is None or not valid:
        return Desired(hold=True)
    resolved = resolved_once(known)
    if not resolved and known.deployment is not None:
        return Desired(hold=True)
    kept = frozenset() if resolved else frozenset({DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER})
    return Desired(tuple(wish for wish in _wishes(known) if wish.resource not in kept), kept)


def without_rollout(desired: Desired) -> Desired:
    """Return the same without what would replace pods.

    A roll-out that waits for its turn waits with its configuration, or a pod that restarts would be ahead of the others, and with its
    NetworkPolicy: the pods that serve on need the way to the endpoint that they know.
    """
    kept = desired.kept | {CONFIG_MAP, NETWORK_POLICY, DEPLOYMENT}
    return Desired(tuple(wish for wish in desired.objects if wish.resource not in kept), kept, desired.hold)


def _wishes(known: Input) -> Iterator[Child]:
    # What a pod needs to start comes before the Deployment, what guides clients to it after.
    gateway = known.valid_spec.gateway
    yield service_account(known)
    yield config_map(known)
    if token_wanted(known):
        yield token_secret_place(known)
    if known.operator.network_policy.enabled:
        yield network_policy(known)
    yield deployment(known)
    yield service(known)
    yield pod_disruption_budget(known)
    if gateway.autoscaling is not None:
        yield horizontal_pod_autoscaler(known, gateway.autoscaling)
    if gateway.expose is not None and gateway.expose.http_route is not None:
        yield http_route(known, gateway.expose.http_route)
    if gateway.expose is not None and gateway.expose.ingress is not None:
        yield ingress(known, gateway.expose.ingress)
