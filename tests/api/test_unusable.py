"""What is accepted and can't be used: each has its reason, its issue with a suggestion, and heals by itself when the cause goes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from mistral_voice.kube.resources import DEPLOYMENT, SECRET
from tests.api.operating import Operating, Operation, operation
from tests.cluster import ApiServer

pytestmark = pytest.mark.asyncio(loop_scope="module")
QUICK = {"intervalSeconds": 10}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(cluster: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Operation]:
    async with operation(cluster, tmp_path_factory.mktemp("operator")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def world(running: Operation) -> Operating:
    return await running.in_new_namespace()


SECRETS: list[tuple[dict[str, bytes], str, str]] = [
    ({"other": b"x"}, "Opaque", "KeyMissing"),
    ({"apiKey": b""}, "Opaque", "KeyEmpty"),
    ({"apiKey": b" \n\t"}, "Opaque", "KeyBlank"),
    ({"apiKey": b"one\ntwo"}, "Opaque", "KeyHasControlCharacters"),
    ({"apiKey": "schlüssel".encode()}, "Opaque", "KeyNotASCII"),
    ({"apiKey": b"one two"}, "Opaque", "KeyHasInnerSpace"),
    ({"apiKey": b"k" * 5000}, "Opaque", "KeyTooLong"),
    ({"username": b"u", "password": b"p", "apiKey": b"k"}, "kubernetes.io/basic-auth", "SecretTypeNotAllowed"),
]


@pytest.mark.parametrize(("data", "kind", "reason"), SECRETS, ids=[reason for _, _, reason in SECRETS])
async def test_a_secret_that_holds_no_usable_key_is_told_and_heals(
    world: Operating, data: dict[str, bytes], kind: str, reason: str
) -> None:
    await world.put_secret(data, kind=kind)
    await world.apply("support")
    condition = await world.condition("support", "CredentialResolved", "False")
    assert condition["reason"] == reason
    issue = world.issue(await world.integration("support"), reason)
    assert issue["severity"] == "error"
    assert issue["path"].startswith("spec.secretRef")
    assert issue["suggestion"]
    assert not await world.exists(DEPLOYMENT, "support-voice")()
    await world.client.delete(SECRET, world.namespace, "mistral")
    await world.put_key()
    await world.condition("support", "CredentialResolved", "True")
    await world.condition("support", "Healthy", "True")


async def test_a_custom_secret_type_and_surrounding_white_space_are_fine_with_a_warning(world: Operating) -> None:
    await world.put_secret({"apiKey": f"  {world.mistral.key}\n".encode()}, kind="example.com/key")
    await world.apply("support")
    await world.condition("support", "Healthy", "True")
    warnings = [issue for issue in (await world.integration("support"))["status"]["issues"] if issue["severity"] == "warning"]
    assert any("white space" in issue["message"] for issue in warnings), warnings


CONFIGS: list[tuple[dict[str, Any], str]] = [
    ({"model": "no-such-model"}, "ModelNotFound"),
    ({"model": "voxtral-mini-tts-latest"}, "ModelCannotChat"),
    ({"model": "mistral-large-2407"}, "ModelRetired"),
    ({"defaultVoice": "no_such_voice"}, "VoiceNotFound"),
]


@pytest.mark.parametrize(("config", "reason"), CONFIGS, ids=[reason for _, reason in CONFIGS])
async def test_a_model_or_voice_that_mistral_lacks_is_told_and_heals(world: Operating, config: dict[str, Any], reason: str) -> None:
    await world.put_key()
    await world.apply("support", config=config)
    assert (await world.condition("support", "Healthy", "False"))["reason"] == reason
    assert world.issue(await world.integration("support"), reason)["suggestion"]
    await world.apply("support", config={})
    await world.condition("support", "Healthy", "True")


DEFINITE: list[tuple[dict[str, Any], str]] = [
    ({"kind": "status", "status": 401}, "Unauthorized"),
    ({"kind": "status", "status": 403}, "PermissionDenied"),
]


@pytest.mark.parametrize(("fault", "reason"), DEFINITE, ids=[reason for _, reason in DEFINITE])
async def test_a_clear_refusal_counts_at_once(world: Operating, fault: dict[str, Any], reason: str) -> None:
    key_id = f"key-{world.namespace}"
    await world.mistral.add_key(key_id, f"value-of-{world.namespace}")
    fault_id = await world.mistral.add_fault(key_id=key_id, **fault)
    await world.put_key(f"value-of-{world.namespace}")
    await world.apply("support", healthCheck=QUICK)
    assert (await world.condition("support", "Healthy", "False"))["reason"] == reason
    await world.mistral.admin("DELETE", f"/faults/{fault_id}")
    await world.condition("support", "Healthy", "True")


TROUBLE: list[tuple[dict[str, Any] | None, str]] = [
    ({"kind": "status", "status": 503}, "UpstreamError"),
    ({"kind": "hang"}, "UpstreamTimeout"),
    ({"kind": "garbage"}, "InvalidAnswer"),
    ({"kind": "reset"}, "ConnectionFailed"),
    (None, "TLSError"),
]
"""What Mistral does, and what becomes of it; None is the endpoint whose certificate nobody vouches for."""


async def test_trouble_on_the_way_counts_after_three_in_a_row_and_never_stalls(running: Operation) -> None:
    # All kinds of trouble side by side: each takes its time, and they don't disturb one another.
    worlds = [await running.in_new_namespace() for _ in TROUBLE]
    await asyncio.gather(*(trouble_counts(world, fault, reason) for world, (fault, reason) in zip(worlds, TROUBLE, strict=True)))


async def trouble_counts(world: Operating, fault: dict[str, Any] | None, reason: str) -> None:
    key_id = f"key-{world.namespace}"
    await world.mistral.add_key(key_id, f"value-of-{world.namespace}")
    fault_id = None if fault is None else await world.mistral.add_fault(key_id=key_id, **fault)
    await world.put_key(f"value-of-{world.namespace}")
    await world.apply("support", healthCheck=QUICK, endpoint="untrusted" if fault is None else None)
    # Three checks, ten seconds apart, of which each may take as long again.
    assert (await world.condition("support", "Healthy", "False", timeout_seconds=200))["reason"] == reason
    body = await world.integration("support")
    assert body["status"]["connection"]["status"] == "error"
    assert body["status"]["connection"]["consecutiveFailures"] >= 3
    assert next(c for c in body["status"]["conditions"] if c["type"] == "Stalled")["status"] == "False"
    assert await world.exists(DEPLOYMENT, "support-voice")(), "Mistral's trouble must not keep a gateway from being made"
    if fault_id is None:
        await world.apply("support", healthCheck=QUICK)
    else:
        await world.mistral.admin("DELETE", f"/faults/{fault_id}")
    await world.condition("support", "Healthy", "True")


async def test_too_many_requests_never_turn_a_healthy_integration_red(world: Operating) -> None:
    key_id = f"key-{world.namespace}"
    await world.mistral.add_key(key_id, f"value-of-{world.namespace}")
    await world.put_key(f"value-of-{world.namespace}")
    await world.apply("support", healthCheck=QUICK)
    await world.condition("support", "Healthy", "True")
    await world.mistral.add_fault("status", key_id=key_id, status=429, retry_after_s=1)
    asked = len(await world.mistral.requests(key_id=key_id))
    await world.eventually_asked(key_id, asked + 1)
    await world.apply("support", healthCheck=QUICK, config={"maxSessionDurationSeconds": 60})
    await world.condition("support", "ConfigValid", "True")
    assert (await world.condition("support", "Healthy", "True"))["reason"] == "Connected"


GATEWAYS: list[tuple[dict[str, Any], str]] = [
    ({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}, "InvalidResources"),
    ({"template": {"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]}}, "InvalidPodTemplate"),
    ({"expose": {"ingress": {"host": "192.0.2.1"}}}, "InvalidExposure"),
    ({"auth": {"tokenSecretRef": {"name": "no-such-secret"}}}, "TokenSecretInvalid"),
]


async def test_a_gateway_that_can_not_be_had_is_told_leaves_the_last_good_one_and_heals(world: Operating) -> None:
    await world.put_key()
    await world.apply("support")
    await world.condition("support", "Healthy", "True")
    good = world.meaning(await world.client.get(DEPLOYMENT, world.namespace, "support-voice"))
    for gateway, reason in GATEWAYS:
        await world.apply("support", gateway=gateway)
        await world.condition("support", "ConfigValid", "False", reason=reason)
        await world.condition("support", "Stalled", "True", reason=reason)
        issue = world.issue(await world.integration("support"), reason)
        assert issue["path"].startswith("spec.gateway.")
        assert issue["suggestion"]
        assert world.meaning(await world.client.get(DEPLOYMENT, world.namespace, "support-voice")) == good, reason
    await world.apply("support")
    await world.condition("support", "ConfigValid", "True")
    await world.condition("support", "Stalled", "False")


def container(reason: str, message: str, **more: Any) -> dict[str, Any]:
    """Return a pod's status whose container waits."""
    state = {"waiting": {"reason": reason, "message": message}}
    names = {"name": "gateway", "image": "example.com/gateway", "imageID": "", "ready": False, "restartCount": 0}
    return {"containerStatuses": [{**names, "state": state, **more}]}


ENDED = {"restartCount": 3, "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}
UNSCHEDULED = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available."}
PODS: list[tuple[dict[str, Any], str, str]] = [
    ({"conditions": [UNSCHEDULED]}, "Unschedulable", "0/3 nodes are available."),
    (container("ErrImagePull", "no such image"), "ImagePullFailed", "no such image"),
    (container("CreateContainerConfigError", 'secret "mistral" not found'), "ContainerConfigError", "not found"),
    (container("CrashLoopBackOff", "back-off", **ENDED), "CrashLoop", "OOMKilled, exit code 137"),
]
REPLICA_FAILURES: list[tuple[str, str]] = [
    ("exceeded quota: small, requested: pods=1", "QuotaExceeded"),
    ('violates PodSecurity "restricted:latest"', "AdmissionDenied"),
    ("Internal error occurred", "PodsNotCreated"),
]


async def test_pods_that_do_not_start_are_told_in_their_own_words(world: Operating) -> None:
    await world.put_key()
    await world.apply("support")
    await world.pretend_pods("support", ready=0)
    await world.condition("support", "GatewayAvailable", "False", reason="NoPodsReady")
    for message, reason in REPLICA_FAILURES:
        await world.pretend_pods("support", ready=0, type="ReplicaFailure", status="True", reason="FailedCreate", message=message)
        told = await world.condition("support", "GatewayAvailable", "False", reason=reason)
        assert message in told["message"]
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "It has timed out progressing."}
    await world.pretend_pods("support", ready=0, **late)
    await world.condition("support", "Stalled", "True", reason="NotReadyInTime")
    for status, reason, words in PODS:
        await world.pretend_pod("support", status)
        # Pods are not watched: the Deployment's change is what calls.
        await world.pretend_pods("support", ready=0, **{**late, "message": f"It waits for {reason}."})
        assert words in (await world.condition("support", "GatewayAvailable", "False", reason=reason))["message"]
    await world.pretend_pods("support", ready=1)
    await world.condition("support", "Ready", "True")


async def test_an_endpoint_that_the_administrator_does_not_list_is_refused(world: Operating) -> None:
    await world.put_key()
    await world.apply("support", endpoint="elsewhere")
    assert (await world.condition("support", "ConfigValid", "False"))["reason"] == "UnknownEndpoint"
    assert (await world.condition("support", "Stalled", "True"))["reason"] == "UnknownEndpoint"
    await world.apply("support", endpoint=None)
    await world.condition("support", "Healthy", "True")
