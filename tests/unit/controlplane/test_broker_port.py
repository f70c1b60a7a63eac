"""The paths of brokers, over real sockets; who calls is told by a table of tokens instead of an API server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import msgspec
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from mistral_voice.contract.lease import (
    KEYS_PATH,
    LEASES_PATH,
    RELEASE_PATH,
    RENEW_PATH,
    KeyOrders,
    KeySync,
    LeaseAnswer,
    LeaseGrant,
    Refusal,
)
from mistral_voice.contract.secret import Secret
from mistral_voice.contract.v1alpha1.pool import KeyPoolSpecification
from mistral_voice.controlplane.broker_port import BrokerPort
from mistral_voice.controlplane.keys.keyring import KeyRing
from mistral_voice.controlplane.main import listening
from mistral_voice.controlplane.metrics import ControlPlaneMetrics
from mistral_voice.kube.identity import Caller, NotAuthenticatedError
from tests.support.ledger import CHAT, World, a_report, a_request

POOL = KeyPoolSpecification.model_validate({"keys": [{"name": "a", "secretRef": {"name": "mistral-a"}}]})
CALLERS = {"broker": Caller("voice", "broker", "broker-1", "u1"), "tenant": Caller("shop", "broker", "evil-1", "u2")}


class Tokens:
    async def caller(self, token: Secret) -> Caller:
        if token.reveal() not in CALLERS:
            raise NotAuthenticatedError("The token is not accepted.")
        return CALLERS[token.reveal()]


class Asking:
    def __init__(self, http: aiohttp.ClientSession, port: int, registry: CollectorRegistry) -> None:
        self._http = http
        self._base = f"http://127.0.0.1:{port}"
        self.registry = registry
        self.not_ready: str | None = None

    async def __call__(self, path: str, message: object, token: str = "broker") -> tuple[int, bytes]:
        body = message if isinstance(message, bytes) else msgspec.json.encode(message)
        async with self._http.post(self._base + path, data=body, headers={"Authorization": f"Bearer {token}"}) as answer:
            return answer.status, await answer.read()


@asynccontextmanager
async def asking(world: World) -> AsyncIterator[Asking]:
    registry = CollectorRegistry()
    keys = KeyRing(world.database, lambda: {"main": POOL})
    holder: list[Asking] = []
    metrics = ControlPlaneMetrics(registry)
    port = BrokerPort(Tokens(), frozenset({"voice/broker"}), world.ledger, keys, metrics, lambda: holder[0].not_ready)
    async with listening(port.app(), "127.0.0.1", 0, None) as number, aiohttp.ClientSession() as http:
        holder.append(Asking(http, number, registry))
        yield holder[0]


async def test_a_broker_gets_renews_and_releases_a_lease(world: World) -> None:
    async with asking(world) as ask:
        status, body = await ask(LEASES_PATH, a_request())
        assert (status, type(msgspec.json.decode(body, type=LeaseAnswer))) == (200, LeaseGrant)
        assert (await ask(RENEW_PATH, a_report(seconds=1)))[0] == 200
        assert (await ask(RELEASE_PATH, a_report(seq=2, seconds=2)))[0] == 204
        status, body = await ask(RENEW_PATH, a_report(seq=3, seconds=3))
        assert (status, type(msgspec.json.decode(body, type=LeaseAnswer))) == (409, Refusal)
        assert b'mistral_voice_control_plane_answers_total{asked="admit",reason=""} 1.0' in generate_latest(ask.registry)


async def test_nobody_but_a_broker_is_heard(world: World) -> None:
    async with asking(world) as ask:
        assert (await ask(LEASES_PATH, a_request(), "tenant"))[0] == 403
        assert (await ask(LEASES_PATH, a_request(), "stolen"))[0] == 401
    assert await world.held() == 0


@pytest.mark.parametrize("name", ["a/b", "x'; DROP TABLE holds;--", "a\x00b", "UPPER", "ü", "a\nb", ""])
async def test_what_is_no_name_comes_nowhere_near_the_database(world: World, name: str) -> None:
    async with asking(world) as ask:
        assert (await ask(LEASES_PATH, a_request(namespace=name)))[0] == 400
        assert (await ask(LEASES_PATH, b"{"))[0] == 400


async def test_before_it_knows_the_plans_it_answers_nothing(world: World) -> None:
    async with asking(world) as ask:
        ask.not_ready = "These were not listed yet: mistralvoiceplans."
        assert (await ask(LEASES_PATH, a_request()))[0] == 503


async def test_a_key_is_given_to_one_broker_to_probe(world: World) -> None:
    async with asking(world) as ask:
        orders = [msgspec.json.decode((await ask(KEYS_PATH, KeySync(name)))[1], type=KeyOrders) for name in ("broker-1", "broker-2")]
    assert [[key.secret for key in order.probe] for order in orders] == [["mistral-a"], []]


@pytest.mark.parametrize(("model", "label"), [(CHAT, CHAT), ("made-up", "")])
async def test_refusals_are_counted_by_plan_model_and_reason(world: World, model: str, label: str) -> None:
    world.set_plan(limits={"concurrentSessions": 0})
    async with asking(world) as ask:
        assert (await ask(LEASES_PATH, a_request(model=model)))[0] == 409
        labels = {"plan": "standard", "mode": "managed", "model": label, "reason": "SessionsExhausted"}
        assert ask.registry.get_sample_value("mistral_voice_control_plane_refusals_total", labels) == 1
