"""A watch against a scripted server on loopback: interruptions at the worst moments."""

import asyncio
import json
from pathlib import Path

from aiohttp import web

from mistral_voice.kube import resources
from mistral_voice.kube.client import Client
from mistral_voice.kube.managed_fields import FieldSets
from mistral_voice.kube.observed import Marks, Observed, Reader
from mistral_voice.kube.watch import Watch
from mistral_voice.kube.workqueue import Backoff
from tests.support.waiting import eventually
from tests.unit.kube.loopback import access_to, serving

MARKS = Marks(field_manager="m", hash_annotation="hash", owner_uid_label="uid", owner_name_label="owner")
GONE = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}}


def _item(name: str, version: int) -> dict[str, object]:
    return {"metadata": {"name": name, "namespace": "n", "uid": f"u-{name}", "resourceVersion": str(version)}}


class Script:
    """Answers lists and watches one after the other as told, then stays silent."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        watching = "watch" in request.query
        self.asked.append(
            f"watch from {request.query['resourceVersion']}" if watching else f"list {request.query.get('continue', '')}".strip()
        )
        if not self.answers:
            await asyncio.Event().wait()
        answer = self.answers.pop(0)
        if isinstance(answer, int):
            return web.Response(status=answer)
        if not watching:
            return web.json_response(answer)
        assert isinstance(answer, list)
        response = web.StreamResponse()
        await response.prepare(request)
        for event in answer:
            await response.write(json.dumps(event).encode() + b"\n")
        return response


def _page(version: int, *names: str, more: str = "") -> dict[str, object]:
    return {"metadata": {"resourceVersion": str(version), "continue": more}, "items": [_item(name, version) for name in names]}


async def _follow(script: Script, folder: Path) -> tuple[set[str], list[tuple[str, bool]]]:
    """Follow until the script is at its end; return what is known then, and what was told."""
    told: list[tuple[str, bool]] = []

    def tell(observed: Observed, deleted: bool) -> None:
        told.append((observed.name, deleted))

    async with serving(script.answer) as server, Client(await access_to(server, folder)) as client:
        reader, backoff = Reader(FieldSets(), MARKS), Backoff(base_seconds=0.001, max_seconds=0.002)
        watch = Watch(client, resources.CONFIG_MAP, reader, tell, label_selector="a=b", backoff=backoff)
        task = asyncio.create_task(watch.run())
        length = len(script.answers)
        await eventually(lambda: len(script.asked) == length + 1, "the script's end")
        task.cancel()
        await asyncio.wait({task})
        return {observed.name for observed in watch.objects}, told


async def test_a_list_that_breaks_off_after_a_gap_is_begun_again(tmp_path: Path) -> None:
    script = Script(
        _page(10, "a", "b"),
        [GONE],
        _page(20, "a", more="next"),
        500,
        _page(30, "a", more="next"),
        _page(30, "c"),
    )
    known, told = await _follow(script, tmp_path)
    assert script.asked == ["list", "watch from 10", "list", "list next", "list", "list next", "watch from 30"]
    assert known == {"a", "c"}
    assert ("b", True) in told


async def test_trouble_at_the_server_is_waited_out_and_the_stream_taken_up_where_it_was(tmp_path: Path) -> None:
    bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "15"}}}
    script = Script(
        _page(10, "a"), [{"type": "ADDED", "object": _item("b", 12)}, bookmark], 503, 429, [{"type": "DELETED", "object": _item("a", 17)}]
    )
    known, told = await _follow(script, tmp_path)
    assert script.asked == ["list", "watch from 10", "watch from 15", "watch from 15", "watch from 15", "watch from 17"]
    assert known == {"b"}
    assert told == [("a", False), ("b", False), ("a", True)]


async def test_what_cannot_be_read_leads_to_a_new_list(tmp_path: Path) -> None:
    script = Script(_page(10, "a"), [{"type": "ADDED", "object": {"metadata": {"name": 7}}}], _page(20, "a"))
    known, _ = await _follow(script, tmp_path)
    assert script.asked == ["list", "watch from 10", "list", "watch from 20"]
    assert known == {"a"}
