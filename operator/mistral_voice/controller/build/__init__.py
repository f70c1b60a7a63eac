"""Builders: what an integration wants in the cluster, one builder per kind. Pure, and the same objects for the same input."""

from collections.abc import Sequence
from dataclasses import dataclass

from mistral_voice.controller.build.common import Child
from mistral_voice.controller.build.config_map import config_map
from mistral_voice.controller.build.deployment import deployment
from mistral_voice.controller.build.service import service
from mistral_voice.controller.build.service_account import service_account
from mistral_voice.controller.check.finding import Finding
from mistral_voice.controller.credential import resolved_once
from mistral_voice.controller.input import Input
from mistral_voice.kube.resources import DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER, Resource

__all__ = ["Child", "Desired", "build"]


@dataclass(frozen=True)
class Desired:
    """What the children are to be.

    `objects` are applied in their order. `kept` kinds are left as they are, neither applied nor removed. With `hold`, nothing at all is
    applied or removed: the last good state goes on. Whatever else of our kinds exists is an orphan.
    """

    objects: tuple[Child, ...] = ()
    kept: frozenset[Resource] = frozenset()
    hold: bool = False


def build(known: Input, findings: Sequence[Finding]) -> Desired:
    """Return the children that an integration wants, given what the checks found.

    Nothing is half-applied: a configuration that can't be carried out changes nothing. The Deployment waits for a Secret that resolved
    once; from then on the Secret's absence changes nothing.
    """
    if known.spec is None or any(finding.invalidates for finding in findings):
        return Desired(hold=True)
    children = [service_account(known), config_map(known), service(known)]
    waiting: frozenset[Resource] = frozenset()
    if not resolved_once(known) or not known.rollout_allowed:
        waiting = frozenset({DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER})
    else:
        children.append(deployment(known))
    return Desired(tuple(children), kept=waiting)
