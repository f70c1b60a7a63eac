"""Ten thousand integrations with their children in half a minute: one is made by the operator, the others are copied inside etcd.

A copy differs from its original in its names, its UIDs, its IP address and the hashes that follow from them, all of the same length, so the
stored bytes stay well-formed, also in Kubernetes' binary encoding. That the copies are what the operator would have made is seen from
that it changes none of them.
"""

import base64
import ipaddress
import uuid
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import aiohttp
import msgspec

from mistral_voice.contract import names
from mistral_voice.controller.build.deployment import TEMPLATE_HASH_ANNOTATION
from mistral_voice.controller.operator import MARKS
from mistral_voice.controller.streams import INTEGRATION
from mistral_voice.kube.objects import KubeObject
from mistral_voice.kube.resources import DEPLOYMENT, SERVICE, Resource
from tests.bench.integrations import Place, children, integration, places
from tests.bench.place import Bench
from tests.cluster.certificates import SERVICE_RANGE
from tests.support.waiting import eventually

_BATCH = 120
"""etcd takes at most 128 operations in one transaction."""


async def populate(place: Bench, count: int, *, interval_seconds: int) -> None:
    """Make so many integrations, each with its children and a status that says it is ready."""
    spots = places(count)
    made = await _original(place, spots[0], interval_seconds)
    async with aiohttp.ClientSession(place.cluster.etcd_url) as etcd:
        stored = await _stored(etcd, spots[0], made)
        operations = []
        for spot, address in zip(spots[1:], _addresses(made[SERVICE]["spec"]["clusterIP"]), strict=False):
            replaced = _replacements(spots[0], spot, made, address, place.settings, interval_seconds)
            for key, value in stored:
                operations.append({"requestPut": {"key": _text(_copied(key, replaced)), "value": _text(_copied(value, replaced))}})
            if len(operations) >= _BATCH - len(stored):
                await _commit(etcd, operations)
                operations = []
        if operations:
            await _commit(etcd, operations)


async def _original(place: Bench, spot: Place, interval_seconds: int) -> dict[Resource, KubeObject]:
    """Have the operator make the first integration, pretend that its pods run, and return it and its children as they are."""
    body = await place.client.create(INTEGRATION, spot.namespace, integration(spot, interval_seconds=interval_seconds))
    async with place.operator(identity="original"):
        kinds = [(resource, child["metadata"]["name"]) for resource, child in children(body, body["metadata"]["uid"], place.settings)]
        await eventually(lambda: _condition(place, spot, "Healthy"), "the first integration's health")
        await _pretend_pods(place, spot)
        await _with_a_common_address(place, spot)
        await eventually(lambda: _condition(place, spot, "Ready"), "the first integration to be ready")
    made = {resource: await place.client.get(resource, spot.namespace, name) for resource, name in kinds}
    return {INTEGRATION: await place.client.get(INTEGRATION, spot.namespace, spot.name), **made}


async def _with_a_common_address(place: Bench, spot: Place) -> None:
    # Of the short addresses there are less than ten thousand.
    name = names.child_name(spot.name)
    while len((service := await _service(place, spot))["spec"]["clusterIP"]) < len("10.0.100.10"):
        former = service["metadata"]["uid"]
        await place.client.delete(SERVICE, spot.namespace, name)
        await eventually(partial(_is_anew, place, spot, former), "the Service to be made anew")


async def _is_anew(place: Bench, spot: Place, former_uid: str) -> bool:
    return bool((await _service(place, spot))["metadata"].get("uid", former_uid) != former_uid)


async def _service(place: Bench, spot: Place) -> KubeObject:
    found = await place.client.list_all(SERVICE, spot.namespace)
    return next((service for service in found if service["metadata"]["name"] == names.child_name(spot.name)), {"metadata": {}})


async def _condition(place: Bench, spot: Place, kind: str) -> bool:
    body = await place.client.get(INTEGRATION, spot.namespace, spot.name)
    return any(entry["type"] == kind and entry["status"] == "True" for entry in body.get("status", {}).get("conditions", ()))


async def _pretend_pods(place: Bench, spot: Place) -> None:
    conditions = [{"type": "Available", "status": "True"}, {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]
    counts = dict.fromkeys(("observedGeneration", "replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 1)
    patch = {"status": {**counts, "conditions": conditions}}
    await place.client.merge_patch(DEPLOYMENT, spot.namespace, names.child_name(spot.name), patch, subresource="status")


async def _stored(etcd: aiohttp.ClientSession, spot: Place, made: Mapping[Resource, KubeObject]) -> list[tuple[bytes, bytes]]:
    """Return what etcd holds of the first integration: it, its children, and the record of its Service's address."""
    everything = {"key": _text(b"/registry/"), "range_end": _text(b"/registry0")}
    async with etcd.post("/v3/kv/range", json=everything) as response:
        found = [(base64.b64decode(entry["key"]), base64.b64decode(entry["value"])) for entry in (await response.json())["kvs"]]
    mine, address = f"/{spot.namespace}/{spot.name}", f"/ipaddresses/{made[SERVICE]['spec']['clusterIP']}"
    kept = [(key, value) for key, value in found if (mine in key.decode() or key.decode().endswith(address)) and b"/events/" not in key]
    assert len(kept) == len(made) + 1, [key for key, _ in kept]
    return kept


def _replacements(
    original: Place, spot: Place, made: Mapping[Resource, KubeObject], address: str, settings: dict[str, Any], interval_seconds: int
) -> list[tuple[bytes, bytes]]:
    uids = {body["metadata"]["uid"]: str(uuid.uuid4()) for body in made.values()}
    body = integration(spot, interval_seconds=interval_seconds)
    hashes: dict[str, str] = {}
    for resource, child in children(body, uids[made[INTEGRATION]["metadata"]["uid"]], settings):
        hashes |= dict(zip(_hashes(made[resource]), _hashes(child), strict=True))
    pairs = {
        original.namespace: spot.namespace,
        original.name: spot.name,
        made[SERVICE]["spec"]["clusterIP"]: address,
        **uids,
        **hashes,
    }
    assert all(len(old) == len(new) for old, new in pairs.items()), pairs
    return [(old.encode(), new.encode()) for old, new in pairs.items()]


def _hashes(child: KubeObject) -> Iterator[str]:
    annotations = child["metadata"].get("annotations", {})
    yield from (annotations[name] for name in (MARKS.hash_annotation, TEMPLATE_HASH_ANNOTATION) if name in annotations)
    template = child.get("spec", {}).get("template", {}).get("metadata", {})
    if names.CONFIG_HASH_ANNOTATION in template.get("annotations", {}):
        yield template["annotations"][names.CONFIG_HASH_ANNOTATION]


def _addresses(original: str) -> Iterator[str]:
    """Yield the addresses of the range for Services that are as long as the first one's."""
    for address in ipaddress.ip_network(SERVICE_RANGE).hosts():
        text = str(address)
        if len(text) == len(original) and text != original:
            yield text


def _copied(data: bytes, replaced: Sequence[tuple[bytes, bytes]]) -> bytes:
    for old, new in replaced:
        data = data.replace(old, new)
    return data


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def _commit(etcd: aiohttp.ClientSession, operations: list[dict[str, Any]]) -> None:
    async with etcd.post("/v3/kv/txn", data=msgspec.json.encode({"success": operations})) as response:
        assert response.status == 200, await response.text()
