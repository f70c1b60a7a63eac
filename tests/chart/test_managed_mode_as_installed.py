"""Brokers and control plane with what the chart gives them: their identities, their rights, their command lines."""

import dataclasses
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from mistral_voice.broker.settings import parse as parse_broker
from mistral_voice.contract.lease import CONTROL_PLANE_AUDIENCE
from mistral_voice.controlplane.main import running_control_plane
from mistral_voice.controlplane.settings import Settings
from mistral_voice.controlplane.settings import parse as parse_control_plane
from mistral_voice.controlplane.watching import POOLS as POOL
from mistral_voice.kube.access import load_access
from mistral_voice.kube.client import Client
from mistral_voice.kube.resources import DEPLOYMENT, LEASE, SECRET, Resource
from tests.api.broker.place import Place, managed_place
from tests.api.broker.test_session_life import ask
from tests.chart.installing import SYSTEM, install
from tests.chart.rendering import BROKER, CHART, CONTROL_PLANE, NAME, POOLS, RELEASE
from tests.cluster import ApiServer, api_server
from tests.support.waiting import eventually

STATEFUL_SET = Resource("apps", "v1", "statefulsets", "StatefulSet")
MANAGED = ("--set", "controlPlane.enabled=true")
KEY = "canary-pool-key-77ab19c4"


@pytest.fixture(scope="module")
def installed() -> Iterator[ApiServer]:
    with api_server() as cluster:
        install(cluster, "team-a", *MANAGED)
        yield cluster


@pytest.fixture
async def place(installed: ApiServer, tmp_path: Path) -> AsyncIterator[Place]:
    """Tenants and the simulator; brokers have the identity that the chart gives them, and keys lie where it says."""
    broker = dataclasses.replace(installed, kubeconfig=installed.kubeconfig_for_service_account(SYSTEM, BROKER))
    async with (
        Client(await load_access(installed.kubeconfig)) as client,
        managed_place(broker, client, tmp_path) as place,
    ):
        yield dataclasses.replace(place, pool_namespace=POOLS)


async def flags(client: Client, resource: Resource, name: str) -> list[str]:
    """The command line of an installed workload, without the name of the process."""
    (container,) = (await client.get(resource, SYSTEM, name))["spec"]["template"]["spec"]["containers"]
    return list(container["args"][1:])


async def control_plane_settings(place: Place) -> Settings:
    """The chart's, on loopback and in a temporary folder."""
    given = parse_control_plane(await flags(place.client, STATEFUL_SET, CONTROL_PLANE))
    return dataclasses.replace(
        given,
        name="control-plane-0",
        host="127.0.0.1",
        port=0,
        metrics_port=0,
        database_url=f"sqlite:///{place.folder}/ledger.db",
        tls_directory=place.folder / "tls",
        backup_directory=place.folder / "backups",
    )


async def test_the_rights_suffice_for_a_session_from_the_keys_probe_to_its_end(installed: ApiServer, place: Place) -> None:
    await place.put_key(KEY)
    await place.put_plan(namespaceSelector={"matchLabels": {"tenant": "yes"}})
    pool = {"apiVersion": "voice.contractspec.io/v1alpha1", "kind": "MistralKeyPool", "metadata": {"name": "main"}}
    pool |= {"spec": {"keys": [{"name": "first", "secretRef": {"name": "mistral-main"}}]}}
    await place.client.apply(POOL, None, "main", pool, field_manager="platform", force=True)

    broker_pod = await place.pod(SYSTEM, BROKER, "broker-0")
    token = place.folder / "brokers-token"
    token.write_text(await place.token(broker_pod, BROKER, CONTROL_PLANE_AUDIENCE))
    access = await load_access(installed.kubeconfig_for_service_account(SYSTEM, CONTROL_PLANE))
    async with running_control_plane(await control_plane_settings(place), access) as control_plane:
        given = parse_broker(await flags(place.client, DEPLOYMENT, BROKER))
        assert given.pool_namespace == POOLS
        async with place.broker(control_plane_url=f"https://localhost:{control_plane.port}", control_plane_token=token):

            async def active() -> bool:
                return bool(((await place.client.get(POOL, None, "main")).get("status") or {}).get("activeKeys"))

            await eventually(active, "the key's probe and the pool's status")
            assert (await place.client.get(LEASE, SYSTEM, CONTROL_PLANE))["spec"]["holderIdentity"].startswith("control-plane-0")
            async with place.gateway(await place.tenant()) as gateway, gateway.connect() as client:
                assert await ask(client)


RIGHTS: list[tuple[str, str, list[str], bool]] = [
    (BROKER, POOLS, ["get", "secrets/mistral-main"], True),
    (BROKER, POOLS, ["list", "secrets"], False),
    (BROKER, POOLS, ["watch", "secrets"], False),
    (BROKER, POOLS, ["update", "secrets"], False),
    (BROKER, SYSTEM, ["get", "secrets"], False),
    (BROKER, "team-a", ["get", "secrets"], False),
    (BROKER, "team-a", ["list", "mistralvoiceintegrations"], True),
    (BROKER, "team-a", ["patch", "mistralvoiceintegrations"], False),
    (CONTROL_PLANE, POOLS, ["get", "secrets"], False),
    (CONTROL_PLANE, SYSTEM, ["get", "secrets"], False),
    (CONTROL_PLANE, "team-a", ["list", "mistralvoiceintegrations"], False),
    (CONTROL_PLANE, SYSTEM, ["create", "subjectaccessreviews"], True),
    (CONTROL_PLANE, SYSTEM, ["patch", "mistralkeypools", "--subresource=status"], True),
    (CONTROL_PLANE, SYSTEM, ["patch", "mistralkeypools"], False),
    (CONTROL_PLANE, SYSTEM, ["update", "leases/other"], False),
    (NAME, POOLS, ["list", "secrets"], False),
    (NAME, SYSTEM, ["patch", "mistralkeypools", "--subresource=status"], False),
]


@pytest.mark.parametrize(("account", "namespace", "question", "allowed"), RIGHTS)
def test_who_may_do_what(installed: ApiServer, account: str, namespace: str, question: list[str], allowed: bool) -> None:
    whoever = f"system:serviceaccount:{SYSTEM}:{account}"
    answer = installed.kubectl("auth", "can-i", *question, "--as", whoever, "--namespace", namespace, check=False)
    assert answer.stdout.strip() == ("yes" if allowed else "no"), answer.stderr


@pytest.mark.parametrize(("resource", "name"), [(DEPLOYMENT, NAME), (DEPLOYMENT, BROKER), (STATEFUL_SET, CONTROL_PLANE)])
async def test_a_namespace_that_is_restricted_admits_the_pods(installed: ApiServer, resource: Resource, name: str) -> None:
    namespace = f"strict-{resource.plural}-{len(name)}"
    installed.kubectl("create", "namespace", namespace)
    installed.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    async with Client(await load_access(installed.kubeconfig)) as client:
        template = (await client.get(resource, SYSTEM, name))["spec"]["template"]
    installed.kubectl("create", "serviceaccount", template["spec"]["serviceAccountName"], "--namespace", namespace)
    template["spec"]["volumes"] += [{"name": "ledger", "emptyDir": {}}] if name == CONTROL_PLANE else []
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "trial", "namespace": namespace}, "spec": template["spec"]}
    installed.kubectl("create", "--filename", "-", stdin=json.dumps(pod))


async def test_an_upgrade_keeps_authority_and_certificates_but_those_that_are_old_or_of_other_names_or_another_authority(
    installed: ApiServer,
) -> None:
    async with Client(await load_access(installed.kubeconfig)) as client:

        async def certificates() -> dict[str, Any]:
            names = (f"{NAME}-ca", f"{BROKER}-tls", f"{CONTROL_PLANE}-tls")
            return {name: (await client.get(SECRET, SYSTEM, name))["data"] for name in names}

        first = await certificates()
        installed.helm("upgrade", RELEASE, str(CHART), "--namespace", SYSTEM, *MANAGED, "--set", "rolloutPace=3")
        assert await certificates() == first
        installed.helm("upgrade", RELEASE, str(CHART), "--namespace", SYSTEM, *MANAGED, "--set", "clusterDomain=example.internal")
        named = await certificates()
        a_year_ago = f"voice.contractspec.io/made-at={int(time.time()) - 366 * 86400}"
        installed.kubectl("annotate", "secret", f"{BROKER}-tls", f"{CONTROL_PLANE}-tls", a_year_ago, "--overwrite", "--namespace", SYSTEM)
        same = ("--set", "clusterDomain=example.internal", "--force-conflicts")
        installed.helm("upgrade", RELEASE, str(CHART), "--namespace", SYSTEM, *MANAGED, *same)
        second = await certificates()
        for name in (f"{BROKER}-tls", f"{CONTROL_PLANE}-tls"):
            assert len({data[name]["tls.crt"] for data in (first, named, second)}) == 3
        assert second[f"{NAME}-ca"] == first[f"{NAME}-ca"]
        for name in (f"{BROKER}-tls", f"{CONTROL_PLANE}-tls"):
            assert second[name]["ca.crt"] == first[name]["ca.crt"]
        installed.kubectl("delete", "secret", f"{NAME}-ca", "--namespace", SYSTEM)
        installed.helm("upgrade", RELEASE, str(CHART), "--namespace", SYSTEM, *MANAGED)
        third = await certificates()
        for name in (f"{BROKER}-tls", f"{CONTROL_PLANE}-tls"):
            assert third[name]["ca.crt"] == third[f"{NAME}-ca"]["tls.crt"] != first[name]["ca.crt"]
            assert third[name]["tls.crt"] != second[name]["tls.crt"]


async def test_the_ledger_can_move_to_postgresql_and_the_keys_outlive_the_release(installed: ApiServer) -> None:
    def present(*what: str) -> bool:
        return installed.kubectl("get", *what, "--namespace", SYSTEM, check=False).returncode == 0

    installed.kubectl("create", "secret", "generic", "kept", "--namespace", POOLS, "--from-literal=apiKey=some-key-0001")
    database = {"type": "postgresql", "postgresql": {"secretRef": {"name": "ledger"}}}
    settings = (*MANAGED, "--set-json", f"controlPlane.database={json.dumps(database)}", "--set", "watchNamespaces={team-a}")
    installed.helm("upgrade", RELEASE, str(CHART), "--namespace", SYSTEM, *settings)
    assert present("deployment", CONTROL_PLANE)
    assert not present("statefulset", CONTROL_PLANE)
    may_read = ("auth", "can-i", "get", "secrets/kept", "--namespace", POOLS, "--as", f"system:serviceaccount:{SYSTEM}:{NAME}")
    # The API server hears of a binding that is gone a moment later.
    await eventually(lambda: installed.kubectl(*may_read, check=False).stdout.strip() == "no", "the operator's right to end")
    installed.helm("uninstall", RELEASE, "--namespace", SYSTEM)
    installed.helm("install", RELEASE, str(CHART), "--namespace", SYSTEM, *MANAGED)
    assert installed.kubectl("get", "secret", "kept", "--namespace", POOLS).returncode == 0
