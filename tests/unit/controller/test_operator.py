"""The operator as a process, where no API server helps it."""

from pathlib import Path

from aiohttp import web

from tests.support.operator import running_operator
from tests.support.waiting import eventually
from tests.unit.kube.loopback import access_to, serving


async def test_it_stops_when_told_to_although_it_never_saw_an_integration(tmp_path: Path) -> None:
    async def unserved(_: web.Request) -> web.Response:
        return web.json_response({"kind": "Status", "code": 404, "reason": "NotFound"}, status=404)

    async with serving(unserved) as server:
        await access_to(server, tmp_path)
        async with running_operator(tmp_path / "config", tmp_path, wait_ready=False, leaderElection={"enabled": False}) as operator:
            await eventually(lambda: "can't be listed" in operator.log, "it to look for integrations")
            assert await operator.stop() == 0, operator.log
