"""Which roll-outs wait for their turn: those that nobody asked for by changing the integration."""

from mistral_voice.controller.build import Desired
from mistral_voice.controller.build.deployment import template_hash
from mistral_voice.controller.credential import resolved_once
from mistral_voice.controller.input import Input
from mistral_voice.kube.resources import DEPLOYMENT


def needs_turn(known: Input, desired: Desired) -> bool:
    """Tell whether applying the Deployment would replace pods for the operator's reasons alone.

    So it is after an upgrade of the operator, or a change of an endpoint or the default voice: the spec was carried out before, and the pod
    template differs from the one that stands. A change of the spec, the repair of a drift and a suspended integration never wait.
    """
    deployment = known.deployment
    if deployment is None or deployment.wanted_replicas == 0 or known.spec is None or known.spec.suspend:
        return False
    if known.previous.observed_generation != known.generation or not resolved_once(known):
        return False
    wanted = next((child for child in desired.objects if child.resource == DEPLOYMENT), None)
    if not deployment.template_hash or wanted is None:
        return False
    return deployment.template_hash != template_hash(wanted)
