"""Whose gateway it is: by real tokens, reviewed by a real API server, and in every permutation of namespaces and names."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from mistral_voice.broker.main import Broker
from mistral_voice.contract.lease import Opened, RefusalReason
from tests.api.broker.line import Hand, hand
from tests.api.broker.place import Place


@pytest.fixture
async def broker(place: Place) -> AsyncIterator[Broker]:
    async with place.broker() as broker:
        yield broker


@pytest.fixture
async def reach(place: Place, broker: Broker) -> AsyncIterator[Hand]:
    async with hand(f"https://127.0.0.1:{broker.port}", place.ca_file) as reach:
        yield reach


async def turned_away(reach: Hand, token: str) -> int:
    with pytest.raises(aiohttp.WSServerHandshakeError) as error:
        async with reach.line(token):
            raise AssertionError("the line was opened")
    return error.value.status


async def test_only_a_pods_token_for_our_audience_opens_a_line(place: Place, reach: Hand) -> None:
    tenant = await place.tenant()
    for token in (
        await place.token(tenant, audience=None),
        await place.token(tenant, audience="mistral-voice-control-plane"),
        await place.token(tenant, audience="https://kubernetes.default.svc"),
        await place.token(tenant, bound=False),
        await place.token(tenant) + "x",
        "nonsense",
        "",
    ):
        assert await turned_away(reach, token) == 401
    assert place.control_plane.leases == []
    async with reach.line(await place.token(tenant)) as line:
        assert isinstance(line.answer, Opened)


async def test_the_token_decides_whose_session_it_is_in_every_permutation(place: Place, reach: Hand) -> None:
    """Two namespaces with an integration of the same name each; a third without; accounts named after others' integrations."""
    first, second = await place.tenant(), await place.tenant()
    stranger = await place.pod(await place.new_namespace(tenant="yes"), "hello-voice")
    other_account = await place.pod(first.namespace, "default-voice", "other")
    plain_account = await place.pod(first.namespace, "hello", "plain")
    for tenant in (first, second):
        async with reach.line(await place.token(tenant), session=f"sess_{tenant.namespace}") as line:
            assert isinstance(line.answer, Opened)
        assert (place.control_plane.leases[-1].namespace, place.control_plane.leases[-1].integration) == (tenant.namespace, "hello")
    for pod, account in ((stranger, "hello-voice"), (other_account, "default-voice"), (plain_account, "hello")):
        async with reach.line(await place.token(pod, account)) as line:
            assert line.refused.reason is RefusalReason.NOT_MANAGED
    assert len(place.control_plane.leases) == 2


async def test_consent_is_the_plan_owners_and_is_asked_for_by_the_namespaces_own_labels(place: Place, reach: Hand) -> None:
    namespace = await place.new_namespace(tenant="no")
    await place.put_integration(namespace)
    pod = await place.pod(namespace, "hello-voice")
    async with reach.line(await place.token(pod)) as line:
        assert line.refused.reason is RefusalReason.PLAN_NOT_ALLOWED
        assert namespace in line.refused.message


async def test_a_session_beyond_the_plan_is_refused_before_any_lease(place: Place, reach: Hand) -> None:
    tenant = await place.tenant()
    token = await place.token(tenant)
    async with reach.line(token, model="mistral-large-4") as line:
        assert line.refused.reason is RefusalReason.MODEL_NOT_IN_PLAN
    async with reach.line(token, speech_model="mistral-medium-latest") as line:
        assert line.refused.reason is RefusalReason.MODEL_NOT_IN_PLAN
    assert place.control_plane.leases == []


async def test_an_integration_that_is_not_managed_has_no_session_here(place: Place, reach: Hand) -> None:
    namespace = await place.new_namespace(tenant="yes")
    await place.put_integration(namespace, mode="byok", planRef=None, secretRef={"name": "own"})
    pod = await place.pod(namespace, "hello-voice")
    async with reach.line(await place.token(pod)) as line:
        assert line.refused.reason is RefusalReason.NOT_MANAGED


@pytest.mark.parametrize("authorization", ["", "Basic abc", "Bearer", "bearer  "])
async def test_without_a_bearer_there_is_no_line(reach: Hand, authorization: str) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as error:
        await reach.http.ws_connect(f"{reach.url}/v1/session", headers={"Authorization": authorization}, server_hostname="localhost")
    assert error.value.status == 401
