"""From what the watches and the pods say to the facts of `Input`."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from mistral_voice.controller.input import DeploymentCondition, DeploymentState, PodTrouble
from mistral_voice.controller.reasons import Reason
from mistral_voice.controller.rollout import one_line, rolled_out
from mistral_voice.kube.objects import KubeObject
from mistral_voice.kube.observed import ObservedWorkload

_IMAGE_REASONS = frozenset({"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"})
_CONFIG_REASONS = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_RUNTIME_REASONS = frozenset({"StartError", "ContainerCannotRun"})
"""The container never ran: the message is the container runtime's."""
_BACK_OFF = re.compile(r'^Back-off pulling image "[^"]*"(: (ErrImagePull: )?)?')
_OWN_NAME = re.compile(r'(?<=[ _"(])[-a-z0-9]+-voice-[-a-z0-9]+')


class _Logged(msgspec.Struct):
    """A line of the gateway's log."""

    message: str


_decode_logged: Final = msgspec.json.Decoder(_Logged).decode


def deployment_state(workload: ObservedWorkload) -> DeploymentState:
    """Return the facts about the gateway's Deployment."""
    return DeploymentState(
        generation=workload.generation,
        observed_generation=workload.observed_generation,
        wanted_replicas=workload.wanted_replicas,
        replicas_owned_by_other=bool(workload.replicas_managers),
        replicas=workload.replicas,
        updated_replicas=workload.updated_replicas,
        ready_replicas=workload.ready_replicas,
        terminating_replicas=workload.terminating_replicas,
        template_hash=workload.template_hash,
        conditions=tuple(
            DeploymentCondition(condition.type, condition.status, condition.reason, condition.message) for condition in workload.troubles
        ),
    )


def pod_trouble(pods: Sequence[KubeObject], deployment: DeploymentState) -> PodTrouble | None:
    """Return why the youngest pod that is not ready doesn't get ready, or None if nothing is wrong with it.

    The text is the same while the trouble is the same: pods' names and growing back-off times are left out.
    """
    if rolled_out(deployment):
        return None
    newest_first = sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), reverse=True)
    found = (_trouble(pod) for pod in newest_first if not pod["metadata"].get("deletionTimestamp"))
    return next((trouble for trouble in found if trouble is not None), None)


def _trouble(pod: KubeObject) -> PodTrouble | None:
    status = pod.get("status") or {}
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False" and condition.get("reason") == "Unschedulable":
            return PodTrouble(Reason.UNSCHEDULABLE, one_line(str(condition.get("message", "No node takes the pod."))))
    for container in status.get("containerStatuses") or ():
        if (trouble := _container_trouble(container)) is not None:
            return trouble
    if status.get("phase") == "Failed":
        words = f"{status.get('reason', 'Failed')}: {status.get('message', 'the pod failed')}"
        return PodTrouble(Reason.CRASH_LOOP, one_line(words))
    return None


def _container_trouble(container: Mapping[str, Any]) -> PodTrouble | None:
    waiting = (container.get("state") or {}).get("waiting") or {}
    reason, message = str(waiting.get("reason", "")), str(waiting.get("message", ""))
    if reason in _IMAGE_REASONS:
        words = _BACK_OFF.sub("", one_line(message)) or "the image can't be pulled"
        return PodTrouble(Reason.IMAGE_PULL_FAILED, f"{container.get('image', 'the image')}: {words}")
    if reason in _CONFIG_REASONS:
        return PodTrouble(Reason.CONTAINER_CONFIG_ERROR, _OWN_NAME.sub("…", one_line(message)) or reason)
    if reason == "CrashLoopBackOff":
        return PodTrouble(Reason.CRASH_LOOP, _last_words(container))
    terminated = (container.get("state") or {}).get("terminated")
    if terminated and container.get("restartCount", 0) > 0:
        return PodTrouble(Reason.CRASH_LOOP, _last_words({"lastState": {"terminated": terminated}}))
    return None


def _last_words(container: Mapping[str, Any]) -> str:
    last = (container.get("lastState") or {}).get("terminated") or {}
    reason, code = str(last.get("reason", "Error")), last.get("exitCode")
    message = str(last.get("message") or "")
    words = one_line(message if reason in _RUNTIME_REASONS else _last_logged(message))
    ended = f"the container ends again and again: {reason}" + (f", exit code {code}" if code is not None else "")
    return f"{ended}: {words}" if words else f"{ended}."


def _last_logged(log: str) -> str:
    """Return the message of the last line of a log, without the line's time, which would make each restart news.

    What is no line of the gateway's own log, such as a traceback of the interpreter's, went past its redaction: it is not told.
    """
    for line in reversed(log.splitlines()):
        try:
            return _decode_logged(line).message
        except msgspec.DecodeError:
            continue
    return ""
