"""A team with a namespace of its own, which asks for a voice and talks to it."""

import base64
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import aiohttp

from mistral_voice.contract.names import CLIENT_PORT
from mistral_voice.kube.objects import KubeObject
from mistral_voice.kube.resources import NAMESPACE, POD, SECRET, Resource
from tests.e2e.place import SYSTEM, Place, restricted_namespace
from tests.support.gateway import Attentive, RealtimeClient
from tests.support.port_forward import forwarded
from tests.support.tenant import TenantHands
from tests.support.waiting import eventually

READY_SECONDS: Final = 120.0
"""A pod's start takes a few seconds, and longer on a machine that is busy."""
SMALL: Final = {"requests": {"cpu": "30m", "memory": "96Mi"}}
"""What a gateway reserves here: those of several tests share a node of two cores."""
PASSING: Final = frozenset({"managed_ledger_unavailable", "managed_draining", "managed_pool_exhausted"})
"""Refusals of a session that pass by themselves: no broker or control plane answered in time, or the key couldn't be read in time."""
NO_PODS: Final[dict[str, Any]] = {"replicas": 0}
"""`spec.gateway` of integrations whose objects are looked at, and whose pods aren't."""


class Team(TenantHands):
    """One namespace, and a key at the scripted Mistral whose id is the namespace's name."""

    def __init__(self, place: Place, namespace: str) -> None:
        self.place = place
        self.client = place.client
        self.mistral = place.mistral
        self.namespace = namespace
        self._key = f"key-{secrets.token_hex(12)}"

    @property
    def valid_key(self) -> str:
        """The key that the scripted Mistral knows."""
        return self._key

    async def apply(self, name: str, **spec: Any) -> KubeObject:
        """Apply an integration as `TenantHands.apply` does, with a small gateway."""
        return await super().apply(name, **spec | {"gateway": {"resources": SMALL, **spec.get("gateway", {})}})

    def explanation(self) -> str:
        """The operators' last words."""
        return self.place.cluster.kubectl("logs", "-n", SYSTEM, "-l", "app.kubernetes.io/name", "--tail=20", "--prefix", check=False).stdout

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl in the namespace and return what it prints."""
        return self.place.cluster.kubectl("--namespace", self.namespace, *arguments, stdin=stdin).stdout

    async def ready(self, name: str = "support", **spec: Any) -> None:
        """Have a key and an integration, and wait until it is ready."""
        await self.put_key()
        await self.apply(name, **spec)
        await self.condition(name, "Ready", "True", timeout_seconds=READY_SECONDS)

    async def pods(self, name: str = "support") -> list[KubeObject]:
        """Return the gateway's pods, also those that are about to go."""
        return await self.client.list_all(POD, self.namespace, label_selector=f"voice.contractspec.io/integration={name}")

    async def serving_pod(self, name: str = "support") -> KubeObject:
        """Return the newest pod that is ready."""

        async def found() -> KubeObject | None:
            pods = [pod for pod in await self.pods(name) if is_ready(pod)]
            return max(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), default=None)

        pod = await eventually(found, f"a ready pod of {name}", READY_SECONDS, 0.2)
        assert pod is not None
        return pod

    async def no_pods(self, name: str = "support") -> bool:
        """Tell whether the last pod is gone."""
        return not await self.pods(name)

    async def token(self, name: str = "support") -> str:
        """Return the token that clients need."""
        secret = await self.client.get(SECRET, self.namespace, f"{name}-voice-token")
        return base64.b64decode(secret["data"]["token"]).decode()

    @contextlib.asynccontextmanager
    async def session(self, name: str = "support", *, token: str | None = None, pod: str | None = None) -> AsyncIterator[RealtimeClient]:
        """Hold a session with the gateway while the context lasts; with a pod of it, if one is named.

        Whoever is refused for a reason that passes asks again: on a busy machine brokers and control plane may be too slow to answer.
        """
        async with contextlib.AsyncExitStack() as kept:

            async def admitted() -> RealtimeClient | None:
                async with contextlib.AsyncExitStack() as trying:
                    client = await trying.enter_async_context(self.connection(name, token=token, pod=pod))
                    first = await client.until("session.created", "error")
                    if first["type"] == "session.created":
                        client.session = first["session"]
                        kept.push_async_exit(trying.pop_all())
                        return client
                assert first["error"]["code"] in PASSING, first
                return None

            client = await eventually(admitted, "a session that is admitted", every_seconds=1)
            assert client is not None
            yield client

    @contextlib.asynccontextmanager
    async def connection(self, name: str = "support", *, token: str | None = None, pod: str | None = None) -> AsyncIterator[RealtimeClient]:
        """Hold a connection to the gateway, which admits or refuses a session by the first event."""
        target = f"pod/{pod or (await self.serving_pod(name))['metadata']['name']}"
        headers = {"Authorization": f"Bearer {token or await self.token(name)}"}
        async with forwarded(self.place.cluster, self.namespace, target, CLIENT_PORT) as port:
            url = f"ws://127.0.0.1:{port}/v1/realtime"
            async with aiohttp.ClientSession() as http, http.ws_connect(url, headers=headers, max_msg_size=2**25) as socket:
                attentive = Attentive(socket)
                async with attentive.reading():
                    yield RealtimeClient(attentive)

    def differs(self, resource: Resource, name: str, former: KubeObject) -> Callable[[], Awaitable[bool]]:
        """Return a question: is there another object of this name?"""
        exists = self.exists(resource, name)

        async def ask() -> bool:
            return (
                await exists() and (await self.client.get(resource, self.namespace, name))["metadata"]["uid"] != former["metadata"]["uid"]
            )

        return ask

    async def sync_volumes(self, pod: KubeObject) -> None:
        """Let kubelet look at a pod's Secrets now instead of within its minute: it does so whenever the pod's object changes.

        It may hear of the pod's change before it hears of the Secret's: whoever waits for the Secret has it look again each time.
        """
        looked_at = {"metadata": {"annotations": {"looked-at": secrets.token_hex(4)}}}
        await self.client.merge_patch(POD, self.namespace, pod["metadata"]["name"], looked_at)


@contextlib.asynccontextmanager
async def team_of(place: Place) -> AsyncIterator[Team]:
    """Have a namespace while the context lasts. Its end is not waited for."""
    team = Team(place, f"t-{secrets.token_hex(4)}")
    await place.client.create(NAMESPACE, None, restricted_namespace(team.namespace))
    try:
        await place.mistral.add_key(team.namespace, team.valid_key)
        yield team
    finally:
        await place.client.delete(NAMESPACE, None, team.namespace)


async def ask(client: RealtimeClient, text: str) -> str:
    """Ask in writing and return the words of the spoken answer."""
    content = [{"type": "input_text", "text": text}]
    await client.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
    await client.send("response.create")
    done = await client.until("response.done")
    assert done["response"]["status"] == "completed", done
    transcript: str = client.all("response.output_audio_transcript.done")[-1]["transcript"]
    return transcript


def is_ready(pod: KubeObject) -> bool:
    """Tell whether a pod takes part in its Service."""
    conditions = {condition["type"]: condition["status"] for condition in pod.get("status", {}).get("conditions", ())}
    return conditions.get("Ready") == "True" and not pod["metadata"].get("deletionTimestamp")
