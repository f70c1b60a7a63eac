"""Nobody's key is found where it doesn't belong, and the operator can't reach what it has no business with."""

import asyncio
import base64
import json
import secrets

import pytest

from mistral_voice.kube.objects import KubeObject
from tests.cluster.errors import CommandFailed
from tests.e2e.place import RELEASE, SYSTEM, Place
from tests.e2e.team import READY_SECONDS, Team, ask
from tests.support.gateway import RealtimeClient
from tests.support.waiting import eventually

OPERATOR = f"system:serviceaccount:{SYSTEM}:{RELEASE}"
KINDS = "mvi,pods,configmaps,serviceaccounts,services,events,deployments,replicasets,pdb,hpa,networkpolicies"
on_the_session_loop = pytest.mark.asyncio(loop_scope="session")


@on_the_session_loop
@pytest.mark.xdist_group("operators")
async def test_no_key_and_no_token_is_found_outside_of_its_secret(place: Place, team: Team) -> None:
    keys = {kind: f"canary-{kind}-{secrets.token_hex(8)}" for kind in ("valid", "unknown", "revoked")}
    await team.mistral.add_key(f"{team.namespace}-valid", keys["valid"])
    await team.mistral.add_key(f"{team.namespace}-revoked", keys["revoked"], state="revoked")
    await team.put_key(keys["valid"])
    await team.apply("support", healthCheck={"intervalSeconds": 10})
    await team.condition("support", "Ready", "True", timeout_seconds=READY_SECONDS)
    pod = await team.serving_pod()
    haystack = []
    async with team.session() as client:
        assert await ask(client, "Hello.") == "You said: Hello."
        for kind in ("unknown", "revoked"):
            await team.put_key(keys[kind])
            await eventually(lambda: answer_fails(team, pod, client), "an answer to fail", every_seconds=0.3)
            await team.condition("support", "Healthy", "False", reason="Unauthorized")
            if kind == "revoked":
                # The one before was refused alike; this one Mistral knows, and so whether it was shown.
                await eventually(lambda: shown_by_both(team, pod, client, f"{team.namespace}-revoked"), "both to show the revoked key")
            haystack += await everything_said(place, team)
        haystack.append(json.dumps(client.events))
    pods = [(team.namespace, pod), *((SYSTEM, operator) for operator in place.operator_pods())]
    for namespace, speaking in pods:
        haystack.append(await metrics(place, namespace, speaking["metadata"]["name"]))
    haystack += await everything_said(place, team)
    text = "\n".join(haystack)
    assert team.namespace in text
    for needle in (*keys.values(), await team.token()):
        assert needle not in text
        assert base64.b64encode(needle.encode()).decode().rstrip("=") not in text


async def metrics(place: Place, namespace: str, pod: str) -> str:
    """Return what a pod tells its monitoring."""
    said = await eventually(lambda: place.pod_answers(namespace, pod, "/metrics"), f"the metrics of {namespace}/{pod}")
    assert said is not None
    return said


async def shown_by_both(team: Team, pod: KubeObject, client: RealtimeClient, key_id: str) -> bool:
    """Tell whether gateway and operator have tried this key; the gateway is asked for an answer until it has."""
    by_gateway, by_operator = [await team.mistral.requests(endpoint=endpoint, key_id=key_id) for endpoint in ("chat", "models")]
    if not by_gateway:
        await answer_fails(team, pod, client)
    return bool(by_gateway and by_operator)


async def answer_fails(team: Team, pod: KubeObject, client: RealtimeClient) -> bool:
    """Let a pod look at its Secrets, ask for an answer, and tell whether none could be had."""
    await team.sync_volumes(pod)
    await client.send("response.create")
    event = await client.until("response.done", "error")
    if event["type"] == "error":  # We ask more often than a caller may.
        assert event["error"]["code"] == "rate_limit_exceeded"
        return False
    return bool(event["response"]["status"] == "failed")


async def everything_said(place: Place, team: Team) -> list[str]:
    """Return the logs of operators and gateway, and every object but Secrets of their namespaces.

    A container whose successor is about to begin, since another test killed it, has no logs for a moment.
    """

    async def said() -> list[str]:
        try:
            return await asyncio.to_thread(_everything_said, place, team)
        except CommandFailed as error:
            failures.append(str(error))
            return []

    failures: list[str] = []
    try:
        return await eventually(said, "the logs and objects", every_seconds=0.5)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{failures[-1:]}") from None


def _everything_said(place: Place, team: Team) -> list[str]:
    said = [team.kubectl("logs", "--selector=voice.contractspec.io/integration", "--tail=-1", "--all-containers")]
    said.append(place.cluster.kubectl("logs", "-n", SYSTEM, f"--selector=app.kubernetes.io/instance={RELEASE}", "--tail=-1").stdout)
    objects = [place.cluster.kubectl("get", KINDS, "-n", namespace, "-o", "json").stdout for namespace in (team.namespace, SYSTEM)]
    return said + objects


@pytest.mark.parametrize(("verb", "allowed"), [("get", "yes"), ("list", "no"), ("watch", "no"), ("deletecollection", "no")])
def test_the_operator_reads_secrets_one_by_one_and_never_lists_them(place: Place, verb: str, allowed: str) -> None:
    answer = place.cluster.kubectl("auth", "can-i", verb, "secrets", "--all-namespaces", "--as", OPERATOR, check=False)
    assert answer.stdout.strip() == allowed


@on_the_session_loop
async def test_the_operators_own_account_can_write_no_secret_that_is_not_its_own(place: Place, team: Team) -> None:
    await team.put_key()
    await team.apply("support", gateway={"replicas": 0})
    await team.condition("support", "Healthy", "True")
    account = place.cluster.kubeconfig_for_service_account(SYSTEM, RELEASE)
    owner = await team.integration("support")
    patch = json.dumps({"stringData": {"apiKey": "stolen"}})
    attempts: list[tuple[list[str], KubeObject | None]] = [
        (["create", "-f", "-"], secret(team, "a-secret-of-its-own")),
        (["create", "-f", "-"], secret(team, "with-the-label", owner_uid=owner["metadata"]["uid"])),
        (["patch", "secret", "mistral", "-n", team.namespace, "--type=merge", "-p", patch], None),
        (["delete", "secret", "mistral", "-n", team.namespace, "--wait=false"], None),
    ]
    for arguments, body in attempts:
        with pytest.raises(CommandFailed, match=r"ValidatingAdmissionPolicy|denied"):
            place.cluster.kubectl("--kubeconfig", str(account), *arguments, stdin=json.dumps(body) if body else None)
    # The one that is its own it can delete, for the integration may want it no more.
    place.cluster.kubectl("--kubeconfig", str(account), "delete", "secret", "support-voice-token", "-n", team.namespace)


def secret(team: Team, name: str, owner_uid: str | None = None) -> KubeObject:
    """Return a Secret, with the operator's label if it shall look like one of an integration."""
    metadata = {"name": name, "namespace": team.namespace}
    marked = metadata | ({"labels": {"voice.contractspec.io/integration-uid": owner_uid}} if owner_uid else {})
    return {"apiVersion": "v1", "kind": "Secret", "metadata": marked, "stringData": {"apiKey": "stolen"}}
