"""From pods to a sentence."""

from dataclasses import replace
from typing import Any

import pytest

from mistral_voice.controller.input import DeploymentCondition, DeploymentState
from mistral_voice.controller.observed import deployment_state, pod_trouble
from mistral_voice.controller.reasons import Reason
from mistral_voice.kube.objects import KubeObject
from mistral_voice.kube.observed import ObservedWorkload, WorkloadCondition
from tests.unit.controller.given import RUNNING

STARTING = replace(RUNNING, ready_replicas=0)
IMAGE = "registry.example/mistral-voice:9"


def pod(container: dict[str, Any] | None = None, created: str = "2026-11-22T14:00:00Z", **status: Any) -> KubeObject:
    statuses = [] if container is None else [{"name": "gateway", "image": IMAGE, **container}]
    return {"metadata": {"name": "p", "creationTimestamp": created}, "status": {"containerStatuses": statuses, **status}}


def waiting(reason: str, message: str = "", **rest: Any) -> dict[str, Any]:
    return {"state": {"waiting": {"reason": reason, "message": message}}, **rest}


def crashed(exit_code: int, reason: str = "Error", message: str = "") -> dict[str, Any]:
    return {"lastState": {"terminated": {"exitCode": exit_code, "reason": reason, "message": message}}}


LOG = """\
{"time": "2026-11-22T14:00:00.000Z", "level": "info", "message": "The gateway starts."}
{"time": "2026-11-22T14:00:01.000Z", "level": "error", "message": "gateway.json can't be used."}
Exception ignored in: canary-key
"""
"""The end of a gateway's log, as a pod's status has it: the time differs at each restart."""
UNSCHEDULABLE = [
    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available: Insufficient cpu."}
]


@pytest.mark.parametrize(
    ("found", "reason", "words"),
    [
        (pod(waiting("ErrImagePull", "rpc error: not found")), Reason.IMAGE_PULL_FAILED, f"{IMAGE}: rpc error: not found"),
        (
            pod(waiting("ImagePullBackOff", f'Back-off pulling image "{IMAGE}": ErrImagePull: rpc error: not found')),
            Reason.IMAGE_PULL_FAILED,
            f"{IMAGE}: rpc error: not found",
        ),
        (pod(waiting("InvalidImageName")), Reason.IMAGE_PULL_FAILED, f"{IMAGE}: the image can't be pulled"),
        (
            pod(waiting("CrashLoopBackOff", "back-off 40s restarting failed container", **crashed(1, message=LOG))),
            Reason.CRASH_LOOP,
            "the container ends again and again: Error, exit code 1: gateway.json can't be used.",
        ),
        (
            pod(waiting("CrashLoopBackOff", **crashed(128, "StartError", message="exec: mistral-voice: not found"))),
            Reason.CRASH_LOOP,
            "the container ends again and again: StartError, exit code 128: exec: mistral-voice: not found",
        ),
        (
            pod(waiting("CrashLoopBackOff", "back-off 5m0s", **crashed(137, "OOMKilled"))),
            Reason.CRASH_LOOP,
            "the container ends again and again: OOMKilled, exit code 137.",
        ),
        (
            pod({"state": {"terminated": {"exitCode": 3, "reason": "Error"}}, "restartCount": 2}),
            Reason.CRASH_LOOP,
            "the container ends again and again: Error, exit code 3.",
        ),
        (
            pod(waiting("CreateContainerConfigError", 'secret "mistral" not found')),
            Reason.CONTAINER_CONFIG_ERROR,
            'secret "mistral" not found',
        ),
        (pod(conditions=UNSCHEDULABLE), Reason.UNSCHEDULABLE, "0/3 nodes are available: Insufficient cpu."),
        (pod(phase="Failed", reason="Evicted", message="low on memory"), Reason.CRASH_LOOP, "Evicted: low on memory"),
    ],
)
def test_trouble_is_told_in_the_pods_words(found: KubeObject, reason: Reason, words: str) -> None:
    trouble = pod_trouble([found], STARTING)
    assert trouble is not None
    assert (trouble.reason, trouble.message) == (reason, words)


@pytest.mark.parametrize(
    "found",
    [
        pod(waiting("ContainerCreating")),
        pod({"state": {"running": {}}}),
        pod({"state": {"terminated": {"exitCode": 0}}, "restartCount": 0}),
        {"metadata": {"name": "p"}},
    ],
)
def test_pod_that_is_on_its_way_is_no_trouble(found: KubeObject) -> None:
    assert pod_trouble([found], STARTING) is None


def test_youngest_pod_speaks_and_one_that_goes_does_not() -> None:
    old = pod(waiting("CrashLoopBackOff", **crashed(1)), created="2026-11-22T13:00:00Z")
    new = pod(conditions=UNSCHEDULABLE, created="2026-11-22T14:00:00Z")
    trouble = pod_trouble([old, new], STARTING)
    assert trouble is not None
    assert trouble.reason is Reason.UNSCHEDULABLE
    going: KubeObject = {**new, "metadata": {**new["metadata"], "deletionTimestamp": "2026-11-22T14:01:00Z"}}
    trouble = pod_trouble([old, going], STARTING)
    assert trouble is not None
    assert trouble.reason is Reason.CRASH_LOOP


def test_pods_of_a_finished_rollout_are_no_trouble() -> None:
    assert pod_trouble([pod(conditions=UNSCHEDULABLE)], RUNNING) is None


def test_words_are_bounded() -> None:
    trouble = pod_trouble([pod(waiting("ErrImagePull", "no " * 5000))], STARTING)
    assert trouble is not None
    assert len(trouble.message) < 1000


def test_deployment_is_read_from_what_the_watch_keeps() -> None:
    seen = ObservedWorkload(
        namespace="team-a",
        name="support-voice",
        uid="u",
        resource_version="1",
        generation=3,
        observed_generation=2,
        wanted_replicas=4,
        replicas=5,
        updated_replicas=1,
        ready_replicas=4,
        terminating_replicas=1,
        replicas_managers=("kube-controller-manager",),
        template_hash="abc",
        troubles=(WorkloadCondition("ReplicaFailure", "True", "FailedCreate", "exceeded quota"),),
    )
    assert deployment_state(seen) == DeploymentState(
        generation=3,
        observed_generation=2,
        wanted_replicas=4,
        replicas_owned_by_other=True,
        replicas=5,
        updated_replicas=1,
        ready_replicas=4,
        terminating_replicas=1,
        template_hash="abc",
        conditions=(DeploymentCondition("ReplicaFailure", "True", "FailedCreate", "exceeded quota"),),
    )
