"""Gateway, broker and control plane together, each the real one; the ledger on SQLite."""

import contextlib
from collections.abc import AsyncIterator

from mistral_voice.contract.lease import CONTROL_PLANE_AUDIENCE
from mistral_voice.contract.names import API_VERSION, GROUP, POOL_KIND, POOL_PLURAL, VERSION
from mistral_voice.controlplane.main import running_control_plane
from mistral_voice.controlplane.settings import Settings
from mistral_voice.kube.access import load_access
from mistral_voice.kube.resources import Resource
from tests.api.broker.place import Place
from tests.api.broker.test_session_life import ask, refusal
from tests.support.waiting import eventually

POOL = Resource(GROUP, VERSION, POOL_PLURAL, POOL_KIND, namespaced=False)


@contextlib.asynccontextmanager
async def managed_mode(place: Place) -> AsyncIterator[None]:
    """Run a control plane and a broker that is known to it, with a pool of one key that has been probed."""
    pool = {"keys": [{"name": "first", "secretRef": {"name": "mistral-main"}}]}
    body = {"apiVersion": API_VERSION, "kind": POOL_KIND, "metadata": {"name": "main"}, "spec": pool}
    await place.client.apply(POOL, None, "main", body, field_manager="platform", force=True)
    broker_pod = await place.pod(place.pool_namespace, "broker", "broker-0")
    token = place.folder / "real-control-plane-token"
    token.write_text(await place.token(broker_pod, "broker", CONTROL_PLANE_AUDIENCE))
    settings = Settings(
        name="control-plane-0",
        host="127.0.0.1",
        port=0,
        metrics_port=0,
        database_url_file=None,
        database_url=f"sqlite:///{place.folder}/ledger.db",
        brokers=frozenset((f"{place.pool_namespace}/broker",)),
        tls_directory=place.folder / "tls",
        lease_name=f"control-plane-{place.pool_namespace}",
        log_level="info",
    )
    async with running_control_plane(settings, await load_access(place.cluster.kubeconfig)) as control_plane:
        url = f"https://localhost:{control_plane.port}"
        async with place.broker(control_plane_url=url, control_plane_token=token):

            async def active() -> bool:
                status = (await place.client.get(POOL, None, "main")).get("status") or {}
                return bool(status.get("activeKeys"))

            await eventually(active, "the key's probe", timeout_seconds=60)
            yield


async def test_a_session_talks_and_the_limit_of_its_plan_refuses_the_next(place: Place) -> None:
    await place.put_plan(namespaceSelector={"matchLabels": {"tenant": "yes"}}, limits={"concurrentSessions": 1})
    tenant = await place.tenant()
    async with managed_mode(place), place.gateway(tenant) as gateway:
        async with gateway.connect() as client:
            assert await ask(client)
            error, code = await refusal(place, tenant)
            assert error["code"] == "managed_sessions_exhausted"
            assert code in (1008, 1013)

        async def room_again() -> bool:
            try:
                async with gateway.connect() as client:
                    return bool(await ask(client))
            except AssertionError:
                return False

        await eventually(room_again, "the lease's release", timeout_seconds=20)
