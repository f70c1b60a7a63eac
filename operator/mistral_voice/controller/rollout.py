"""How far the gateway's Deployment is, and what holds it up. Pure."""

import re

from mistral_voice.controller.input import DeploymentCondition, DeploymentState, Input, PodTrouble
from mistral_voice.controller.reasons import Reason

_LONGEST = 600
_POD_NAME = re.compile(r'^pods "[^"]*" is forbidden: ')


def rolled_out(deployment: DeploymentState) -> bool:
    """Tell whether every wanted pod is of the newest template and ready, and none is left over.

    Source: kubectl's rule for `rollout status`.
    """
    return (
        deployment.observed_generation >= deployment.generation
        and deployment.updated_replicas >= deployment.wanted_replicas
        and deployment.replicas <= deployment.updated_replicas
        and deployment.ready_replicas >= deployment.wanted_replicas
    )


def trouble(known: Input) -> PodTrouble | None:
    """Return what holds the roll-out up, in the words of the pod or the API server, or None if nothing does."""
    deployment = known.deployment
    if deployment is None or rolled_out(deployment):
        return None
    failure = deployment.condition("ReplicaFailure")
    if failure is not None and failure.status == "True":
        return _not_created(failure)
    if known.trouble is not None:
        return known.trouble
    if out_of_time(deployment):
        condition = deployment.condition("Progressing")
        return PodTrouble(Reason.NOT_READY_IN_TIME, one_line(condition.message if condition is not None else ""))
    return None


def out_of_time(deployment: DeploymentState) -> bool:
    """Tell whether Kubernetes gave the roll-out up: no progress within the Deployment's deadline, 10 minutes."""
    progressing = deployment.condition("Progressing")
    return progressing is not None and progressing.status == "False" and progressing.reason == "ProgressDeadlineExceeded"


def one_line(text: str, longest: int = _LONGEST) -> str:
    """Return a text of others as one line of bounded length."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def _not_created(failure: DeploymentCondition) -> PodTrouble:
    # Each attempt names another pod: without the name, the same trouble reads the same.
    message = _POD_NAME.sub("", one_line(failure.message))
    if "exceeded quota" in message or "must specify limits" in message or "must specify requests" in message or "failed quota" in message:
        return PodTrouble(Reason.QUOTA_EXCEEDED, message)
    if "violates PodSecurity" in message or "denied" in message or "forbidden" in message:
        return PodTrouble(Reason.ADMISSION_DENIED, message)
    return PodTrouble(Reason.PODS_NOT_CREATED, message)
