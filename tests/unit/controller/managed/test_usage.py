"""What integrations have used comes from the control plane's own API, over TLS."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from mistral_voice.controller.managed.usage import PlatformUsage
from mistral_voice.controller.settings import ControlPlaneSettings
from mistral_voice.kube.objects import ObjectKey
from tests.support.ledger import World, a_plan, a_report, a_request, ledger_at, sqlite_url
from tests.support.peoples_api import Served, peoples_api
from tests.support.waiting import eventually

HELPDESK = ObjectKey("shop", "assistant")


@dataclass
class Desk:
    world: World
    served: Served
    usage: PlatformUsage
    token_file: Path
    told: list[ObjectKey]


@asynccontextmanager
async def desk(folder: Path, authority: trustme.CA | None = None, **changes: object) -> AsyncIterator[Desk]:
    served_by, token_file, ca_file = trustme.CA(), folder / "token", folder / "ca.crt"
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    served_by.issue_cert("127.0.0.1").configure_cert(context)
    (authority or served_by).cert_pem.write_to_path(ca_file)
    token_file.write_text("platform")
    plan = a_plan(limits={"concurrentSessions": 5, "sessionSecondsPerPeriod": 3600})
    async with (
        ledger_at(sqlite_url(folder), **({"limits": {"concurrentSessions": 5}} | changes)) as world,
        peoples_api(world, context) as served,
    ):
        await world.ledger.admit(a_request("s1"))
        world.now += 25
        await world.ledger.renew(a_report("s1", seconds=25))
        await world.ledger.admit(a_request("s2", namespace="bank"))
        told: list[ObjectKey] = []
        settings = ControlPlaneSettings(url=served.base_url, token_file=token_file)
        usage = PlatformUsage(settings, ca_file, lambda: {"standard": plan}, told.extend, every_seconds=0.05)
        running = asyncio.create_task(usage.run())
        try:
            yield Desk(world, served, usage, token_file, told)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_use_is_told_in_whole_minutes_and_each_change_once(tmp_path: Path) -> None:
    async with desk(tmp_path) as it:
        await eventually(lambda: it.usage.of(HELPDESK, "standard"), "the first round")
        limits = {"concurrentSessions": 5, "seconds": 3600}
        assert it.usage.of(HELPDESK, "standard") == {"period": "2026-11", "sessions": 1, "seconds": 0, "limits": limits}
        assert sorted(it.told) == [ObjectKey("bank", "assistant"), HELPDESK]
        assert it.usage.of(HELPDESK, "another") is None
        it.world.now += 25
        await it.world.ledger.renew(a_report("s1", seq=2, seconds=60))
        await eventually(lambda: len(it.told) == 3, "the change")
        assert (it.usage.of(HELPDESK, "standard") or {})["seconds"] == 60
        assert it.told[2:] == [HELPDESK]


async def test_a_period_without_room_for_a_session_is_told(tmp_path: Path) -> None:
    async with desk(tmp_path, limits={"sessionSecondsPerPeriod": 30}) as it:
        await eventually(lambda: it.usage.of(HELPDESK, "standard"), "the first round")
        exhausted = (it.usage.of(HELPDESK, "standard") or {})["exhausted"]
        assert exhausted["reason"] == "SecondsExhausted"
        assert "30 seconds" in exhausted["message"]
        assert "exhausted" not in (it.usage.of(ObjectKey("bank", "assistant"), "standard") or {})


@pytest.mark.parametrize("trouble", ["token", "right", "database", "gone"])
async def test_what_can_not_be_learnt_leaves_the_last_figures(tmp_path: Path, trouble: str, caplog: pytest.LogCaptureFixture) -> None:
    async with desk(tmp_path) as it:
        await eventually(lambda: it.usage.of(HELPDESK, "standard"), "the first round")
        match trouble:
            case "token":
                it.token_file.write_text("stolen")
            case "right":
                it.token_file.write_text("nobody")
            case "database":
                it.served.table.is_down = True
            case _:
                it.token_file.unlink()
        await eventually(lambda: "stays as it was told last" in caplog.text, "the warning")
        assert it.usage.of(HELPDESK, "standard") is not None
        assert "stolen" not in caplog.text


async def test_a_control_plane_of_unknown_authority_is_told_no_token(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with desk(tmp_path, trustme.CA()) as it:
        await eventually(lambda: "can't be reached" in caplog.text, "the warning")
        assert it.usage.of(HELPDESK, "standard") is None


async def test_long_pages_are_read_to_their_end(tmp_path: Path) -> None:
    """A page of 200 comes in many pieces; there are more than that."""
    async with desk(tmp_path) as it:
        names = [f"{'a' * 30}-{number}" for number in range(230)]
        await asyncio.gather(*(it.world.ledger.admit(a_request(name, namespace=name, integration="b" * 40)) for name in names))
        await eventually(lambda: all(it.usage.of(ObjectKey(name, "b" * 40), "standard") for name in names), "a round with all of them")
