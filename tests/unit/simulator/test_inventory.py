import aiohttp
import pytest

from tests.support.simulator import SimulatorHandle


async def test_models_are_listed_with_their_capabilities(http: aiohttp.ClientSession) -> None:
    async with http.get("/v1/models") as response:
        assert response.status == 200
        listing = await response.json()
    models = {model["id"]: model for model in listing["data"]}
    assert listing["object"] == "list"
    medium = next(model for model in models.values() if "mistral-medium-latest" in model["aliases"])
    assert medium["capabilities"]["completion_chat"] is True
    assert medium["deprecation"] is None
    realtime = models["voxtral-mini-transcribe-realtime-3-0"]
    assert {"voxtral-mini-transcribe-realtime-3", "voxtral-mini-transcribe-realtime-latest"} <= set(realtime["aliases"])
    assert realtime["capabilities"]["audio_transcription_realtime"] is True
    assert realtime["audio_transcription_capabilities"]["turn_detection"] is True
    assert realtime["audio_transcription_capabilities"]["streaming_delays_ms"] == [{"min": 80, "max": 1200}, {"min": 2400, "max": 2400}]
    assert models["voxtral-mini-transcribe-realtime-2602"]["audio_transcription_capabilities"]["turn_detection"] is False
    assert models["voxtral-mini-tts-3-0"]["capabilities"]["audio_speech"] is True
    retired = models["mistral-large-2407"]
    assert retired["deprecation"] < "2026"
    assert retired["deprecation_replacement_model"] == "mistral-large-latest"
    assert any(not model["capabilities"]["completion_chat"] for model in models.values())


async def test_aliases_are_listed_as_models_if_the_dialect_says_so(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.admin("PATCH", "/dialect", {"aliases_listed": True})
    async with http.get("/v1/models") as response:
        models = {model["id"]: model for model in (await response.json())["data"]}
    assert "mistral-medium-2604" in models["mistral-medium-latest"]["aliases"]


@pytest.mark.parametrize("name", ["mistral-medium-2604", "mistral-medium-latest"])
async def test_a_model_is_found_by_id_and_by_alias(http: aiohttp.ClientSession, name: str) -> None:
    async with http.get(f"/v1/models/{name}") as response:
        assert response.status == 200
        assert (await response.json())["id"] == "mistral-medium-2604"


async def test_an_unknown_model_is_not_found(http: aiohttp.ClientSession) -> None:
    async with http.get("/v1/models/mistral-gigantic") as response:
        assert response.status == 404


async def test_a_model_can_be_added_and_retired_while_running(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    card = {"capabilities": {"completion_chat": True}, "aliases": ["tiny-latest"], "deprecation": "2020-01-01T00:00:00Z"}
    await mistral.admin("PUT", "/models/tiny-1", card)
    async with http.get("/v1/models/tiny-latest") as response:
        assert (await response.json())["deprecation"].startswith("2020")
    await mistral.admin("DELETE", "/models/tiny-1")
    async with http.get("/v1/models/tiny-latest") as response:
        assert response.status == 404


async def test_whoami_names_the_key_and_its_workspace(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.admin("PATCH", "/keys/test", {"domain": "workspace-a"})
    async with http.get("/v1/whoami") as response:
        assert response.status == 200
        answer = await response.json()
    assert answer["principal"]["name"] == "test"
    assert answer["workspace"]["name"] == "workspace-a"
    assert set(answer) == {"principal", "organization", "workspace"}


async def test_voices_are_paged_by_offset(http: aiohttp.ClientSession) -> None:
    async with http.get("/v1/audio/voices?limit=3&offset=3") as response:
        page = await response.json()
    assert page["items"][0]["id"] == "voice_592"
    assert (page["total"], page["page"], page["page_size"], page["total_pages"]) == (8, 2, 3, 3)


async def test_voices_are_paged_by_token(http: aiohttp.ClientSession) -> None:
    found, token = [], ""
    while True:
        async with http.get(f"/v2/audio/voices?page_size=3&page_token={token}") as response:
            page = await response.json()
        found += [voice["id"] for voice in page["data"]]
        if page["next_page_token"] is None:
            break
        token = page["next_page_token"]
    assert len(found) == len(set(found)) == 8
    assert "voice_478" in found


@pytest.mark.parametrize(
    "query", ["/v1/audio/voices?limit=0", "/v1/audio/voices?limit=x", "/v2/audio/voices?page_token=abc", "/v1/audio/voices?type=odd"]
)
async def test_a_wrong_page_is_unprocessable(http: aiohttp.ClientSession, query: str) -> None:
    async with http.get(query) as response:
        assert response.status == 422
        assert (await response.json())["detail"][0]["loc"][0] == "query"


@pytest.mark.parametrize(
    ("query", "count"), [("type=custom", 1), ("gender=female", 3), ("language=fr", 2), ("query=paul", 3), ("kind=pvc", 1), ("", 8)]
)
async def test_voices_are_filtered(http: aiohttp.ClientSession, query: str, count: int) -> None:
    async with http.get(f"/v2/audio/voices?{query}") as response:
        assert len((await response.json())["data"]) == count


async def test_a_voice_is_found_by_id_and_slug(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    async with http.get("/v1/audio/voices/en_paul_neutral") as response:
        assert (await response.json())["name"] == "Paul - Neutral"
    await mistral.admin("PUT", "/voices/voice_999", {"name": "New", "slug": "new"})
    async with http.get("/v1/audio/voices/new") as response:
        assert (await response.json())["id"] == "voice_999"
    await mistral.admin("DELETE", "/voices/voice_999")
    async with http.get("/v1/audio/voices/voice_999") as response:
        assert response.status == 404
