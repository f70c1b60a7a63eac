import aiohttp
import pytest

from mistral_voice.simulator.dialect import Dialect, ErrorShape
from tests.support.simulator import TEST_KEY, SimulatorHandle, running_simulator
from tests.unit.simulator.clients import chat, user


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TEST_KEY}"}, {"Authorization": "Bearer "}, {"x-api-key": TEST_KEY}],
)
async def test_without_a_known_key_nothing_is_answered(mistral: SimulatorHandle, headers: dict[str, str]) -> None:
    async with aiohttp.ClientSession(mistral.base_url, headers=headers) as http, http.get("/v1/models") as response:
        assert response.status == 401
        assert await response.json() == {"detail": "Unauthorized"}


async def test_a_401_can_have_the_other_shape() -> None:
    async with (
        running_simulator(dialect=Dialect(unauthorized=ErrorShape.MESSAGE)) as mistral,
        aiohttp.ClientSession(mistral.base_url) as http,
        http.get("/v1/models") as response,
    ):
        body = await response.json()
    assert body["message"] == "Unauthorized"
    assert body["request_id"]


async def test_a_realtime_handshake_without_a_key_is_refused(mistral: SimulatorHandle) -> None:
    async with aiohttp.ClientSession(mistral.base_url) as http:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect("/v1/audio/transcriptions/realtime?model=voxtral-mini-transcribe-realtime-latest")
    assert refused.value.status == 401


@pytest.mark.parametrize(("state", "status"), [("revoked", 401), ("disabled", 403), ("valid", 200)])
async def test_a_key_in_each_state(mistral: SimulatorHandle, http: aiohttp.ClientSession, state: str, status: int) -> None:
    await mistral.admin("PATCH", "/keys/test", {"state": state})
    async with http.get("/v1/models") as response:
        assert response.status == status


@pytest.mark.parametrize(
    ("scope", "path", "allowed"),
    [
        ("models", "/v1/models", True),
        ("chat", "/v1/models", False),
        ("speech", "/v1/audio/voices", True),
        ("models", "/v1/audio/voices", False),
        ("chat", "/v1/whoami", True),
    ],
)
async def test_a_key_reaches_what_its_scopes_say(mistral: SimulatorHandle, scope: str, path: str, allowed: bool) -> None:
    await mistral.add_key("narrow", "narrow-key-000001", scopes=[scope])
    async with (
        aiohttp.ClientSession(mistral.base_url, headers={"Authorization": "Bearer narrow-key-000001"}) as http,
        http.get(path) as response,
    ):
        assert response.status == (200 if allowed else 403)


async def test_whoami_may_be_closed_to_inference_keys(mistral: SimulatorHandle) -> None:
    await mistral.admin("PATCH", "/dialect", {"whoami": False})
    await mistral.add_key("narrow", "narrow-key-000001", scopes=["chat", "models"])
    await mistral.add_key("wide", "wide-key-00000001", scopes=["chat", "whoami"])
    for key, status in (("narrow-key-000001", 403), ("wide-key-00000001", 200)):
        async with (
            aiohttp.ClientSession(mistral.base_url, headers={"Authorization": f"Bearer {key}"}) as http,
            http.get("/v1/whoami") as response,
        ):
            assert response.status == status


async def test_keys_of_a_domain_share_its_limit(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.add_key("second", "second-key-000001")
    await mistral.add_key("elsewhere", "other-key-0000001", domain="other")
    await mistral.admin("PUT", "/domains/default", {"requests_per_minute": 2})
    statuses = []
    for key in (TEST_KEY, "second-key-000001", TEST_KEY, "other-key-0000001"):
        async with http.get("/v1/models", headers={"Authorization": f"Bearer {key}"}) as response:
            statuses.append(response.status)
            headers = response.headers
            if response.status == 429:
                assert 1 <= int(headers["Retry-After"]) <= 60
                assert headers["x-ratelimit-remaining-req-minute"] == "0"
                assert (await response.json())["code"] == "1300"
    assert statuses == [200, 200, 429, 200]


async def test_tokens_count_towards_a_domains_limit(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.admin("PUT", "/domains/default", {"tokens_per_minute": 5})
    statuses = []
    for _ in range(2):
        async with http.post("/v1/chat/completions", json=chat(user("Say something that costs a few tokens."))) as response:
            statuses.append(response.status)
    assert statuses == [200, 429]


async def test_a_key_that_was_put_anew_has_only_its_new_value(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.add_key("test", "rotated-key-00001")
    async with http.get("/v1/models") as response:
        assert response.status == 401
    async with http.get("/v1/models", headers={"Authorization": "Bearer rotated-key-00001"}) as response:
        assert response.status == 200


async def test_no_answer_of_the_admin_endpoints_holds_a_keys_value(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    async with http.get("/v1/models") as response:
        assert response.status == 200
    for path in ("/keys", "/requests", "/"):
        assert TEST_KEY not in str(await mistral.admin("GET", path))
    async with http.put("/_simulator/keys/second", json={"value": TEST_KEY}) as response:
        assert response.status == 400
        assert TEST_KEY not in await response.text()
