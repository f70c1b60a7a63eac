"""The client against a scripted server on loopback: what a real API server rarely does on demand."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from mistral_voice.kube import resources
from mistral_voice.kube.access import NoAccess, load_access
from mistral_voice.kube.client import Client
from mistral_voice.kube.errors import ApiError, Invalid, NotFound, TooManyRequests, Unauthorized, Unreachable
from tests.unit.kube.loopback import access_to, serving


class Requests:
    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str]] = []

    def __call__(self, verb: str, resource: str, code: str, seconds: float) -> None:
        assert seconds >= 0
        self.seen.append((verb, resource, code))


def _status(code: int, reason: str, message: str) -> dict[str, object]:
    return {"kind": "Status", "code": code, "reason": reason, "message": message, "details": {"causes": [{"message": message}]}}


async def test_an_answer_that_says_when_to_come_back_is_asked_again(tmp_path: Path) -> None:
    codes = iter([429, 503, 200])

    async def handler(_request: web.Request) -> web.Response:
        code = next(codes)
        headers = {} if code == 200 else {"Retry-After": "0"}
        return web.json_response({"kind": "ConfigMap"}, status=code, headers=headers)

    requests = Requests()
    async with serving(handler) as server, Client(await access_to(server, tmp_path), observe=requests) as client:
        assert await client.get(resources.CONFIG_MAP, "n", "x") == {"kind": "ConfigMap"}
    assert [code for _, _, code in requests.seen] == ["429", "503", "200"]


@pytest.mark.parametrize(
    ("code", "retry_after", "attempts"), [(429, "0", 4), (429, "60", 1), (503, None, 1), (500, None, 1), (404, "0", 1)]
)
async def test_asking_again_has_an_end(code: int, retry_after: str | None, attempts: int, tmp_path: Path) -> None:
    async def handler(_request: web.Request) -> web.Response:
        return web.Response(status=code, headers={"Retry-After": retry_after} if retry_after else {}, text="<html>no</html>")

    requests = Requests()
    async with serving(handler) as server, Client(await access_to(server, tmp_path), observe=requests) as client:
        with pytest.raises(ApiError) as caught:
            await client.get(resources.CONFIG_MAP, "n", "x")
    assert len(requests.seen) == attempts
    assert caught.value.status == code
    if code == 429:
        assert isinstance(caught.value, TooManyRequests)
        assert caught.value.retry_after == float(retry_after or 0)
    if code == 404:
        assert isinstance(caught.value, NotFound)
        assert str(caught.value) == "The API server refused to get configmaps n/x (404 NotFound)."


async def test_silence_ends_with_the_time_out(tmp_path: Path) -> None:
    async def handler(_request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    requests = Requests()
    async with serving(handler) as server, Client(await access_to(server, tmp_path), observe=requests) as client:
        with pytest.raises(Unreachable, match=r"did not answer within 0\.1 s: get configmaps n/x\."):
            await client.get(resources.CONFIG_MAP, "n", "x", timeout_seconds=0.1)
    assert requests.seen == [("get", "configmaps", "unreachable")]


async def test_a_server_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    async with Client(await access_to("http://127.0.0.1:1", tmp_path)) as client:
        with pytest.raises(Unreachable, match=r"can't be reached: get configmaps n/x"):
            await client.get(resources.CONFIG_MAP, "n", "x")


async def test_an_answer_that_is_not_json_is_no_answer(tmp_path: Path) -> None:
    async def handler(_request: web.Request) -> web.Response:
        return web.Response(text="<html>Welcome to the hotel's network</html>")

    async with serving(handler) as server, Client(await access_to(server, tmp_path)) as client:
        with pytest.raises(Unreachable, match="was not the API server"):
            await client.get(resources.CONFIG_MAP, "n", "x")
        with pytest.raises(Unreachable, match="was not the API server"):
            await client.list_all(resources.CONFIG_MAP)
        with pytest.raises(Unreachable, match="was not the API server"):
            await anext(client.watch(resources.CONFIG_MAP, resource_version="1"))


@pytest.mark.parametrize("resource", [resources.SECRET, resources.TOKEN_REVIEW])
async def test_what_the_server_says_of_credentials_gets_into_no_error(resource: resources.Resource, tmp_path: Path) -> None:
    canary = "c2VjcmV0LWNhbmFyeQ=="

    async def handler(_request: web.Request) -> web.Response:
        return web.json_response(_status(422, "Invalid", f"data[token]: Invalid value: {canary}"), status=422)

    async with serving(handler) as server, Client(await access_to(server, tmp_path)) as client:
        with pytest.raises(Invalid) as caught:
            await client.create(resource, "n", {"metadata": {"name": "x"}, "data": {"token": canary}})
    assert canary not in f"{caught.value} {caught.value!r} {vars(caught.value)}"


async def test_a_watch_takes_lines_of_any_length_in_any_pieces(tmp_path: Path) -> None:
    lines = [b'{"type":"ADDED","object":{"n":"%s"}}\n' % (b"x" * size) for size in (1, 300_000, 0, 70_000)]

    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.query["allowWatchBookmarks"] == "true"
        response = web.StreamResponse()
        await response.prepare(request)
        stream = b"".join(lines)
        for start in range(0, len(stream), 50_001):
            await response.write(stream[start : start + 50_001])
        await response.write_eof()
        return response

    async with serving(handler) as server, Client(await access_to(server, tmp_path)) as client:
        sizes = [len(event.decode()["n"]) async for event in client.watch(resources.CONFIG_MAP, resource_version="1")]
    assert sizes == [1, 300_000, 0, 70_000]


async def test_a_token_that_was_replaced_is_used_at_the_next_refusal(tmp_path: Path) -> None:
    tokens: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        tokens.append(request.headers["Authorization"])
        good = request.headers["Authorization"] == "Bearer second"
        return web.json_response({} if good else _status(401, "Unauthorized", "Unauthorized"), status=200 if good else 401)

    async with serving(handler) as server, Client(await access_to(server, tmp_path)) as client:
        with pytest.raises(Unauthorized):
            await client.get(resources.CONFIG_MAP, "n", "x")
        (tmp_path / "token").write_text("second")
        await client.create(resources.CONFIG_MAP, "n", {"metadata": {"name": "x"}})
        await client.get(resources.CONFIG_MAP, "n", "x")
    assert tokens == ["Bearer first", "Bearer first", "Bearer second", "Bearer second"]


async def test_no_more_connections_are_used_than_allowed(tmp_path: Path) -> None:
    most = under_way = 0

    async def handler(_request: web.Request) -> web.Response:
        nonlocal most, under_way
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.001)
        under_way -= 1
        return web.json_response({})

    async with serving(handler) as server, Client(await access_to(server, tmp_path), connections=3) as client:
        await asyncio.gather(*(client.get(resources.CONFIG_MAP, "n", "x") for _ in range(50)))
    assert most == 3


async def test_a_name_cannot_leave_its_place_in_the_path(tmp_path: Path) -> None:
    paths: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        paths.append(request.raw_path)
        return web.json_response({})

    async with serving(handler) as server, Client(await access_to(server, tmp_path)) as client:
        await client.get(resources.CONFIG_MAP, "n", "../secrets/x?y")
    assert paths == ["/api/v1/namespaces/n/configmaps/..%2Fsecrets%2Fx%3Fy"]


async def test_a_kubeconfig_that_cannot_be_used_is_named_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(NoAccess, match=f"can't be read from kubeconfig {tmp_path}/none"):
        await load_access(tmp_path / "none")
    (tmp_path / "broken").write_text("current-context: nowhere\ncontexts: []\nclusters: []\nusers: []\n")
    with pytest.raises(NoAccess, match="nowhere"):
        await load_access(tmp_path / "broken")


async def test_the_contexts_namespace_is_known(tmp_path: Path) -> None:
    assert (await access_to("http://127.0.0.1:1", tmp_path)).namespace == "mine"
