import asyncio

from prometheus_client import CollectorRegistry, generate_latest

from mistral_voice.controlplane.catalogue import Catalogue
from mistral_voice.controlplane.ledger.ledger import Ledger
from mistral_voice.controlplane.metrics import ControlPlaneMetrics
from mistral_voice.controlplane.plan_figures import PlanFigures
from tests.support.ledger import CHAT, KEY, World, a_plan, a_report, a_request


async def test_a_plans_figures_are_those_of_the_ledger_and_go_with_the_plan(world: World) -> None:
    registry, catalogue = CollectorRegistry(), Catalogue()
    catalogue.set_plan("standard", a_plan())
    figures = PlanFigures(world.database, catalogue, registry)
    await world.ledger.admit(a_request("s1"))
    world.now += 10
    await world.ledger.renew(a_report("s1", seconds=10, tokens=1_000_000))
    await figures.refresh()
    lines = generate_latest(registry).decode().splitlines()
    prefix, labels = "mistral_voice_control_plane_plan_", 'mode="managed",plan="standard"'
    for line in (f"sessions{{{labels}}} 1.0", f"used_seconds{{{labels}}} 10.0", f'spent{{currency="EUR",{labels}}} 2.0'):
        assert f"{prefix}{line}" in lines
    catalogue.remove_plan("standard")
    await figures.refresh()
    assert "standard" not in generate_latest(registry).decode()


async def test_what_is_charged_is_counted_once_by_plan_and_model(world: World) -> None:
    registry = CollectorRegistry()
    ledger = Ledger(world.database, lambda: world.plans, lambda *_: KEY, charged=ControlPlaneMetrics(registry).charged)
    running = asyncio.create_task(ledger.run())
    try:
        await ledger.admit(a_request("s1"))
        for _ in range(2):
            await ledger.renew(a_report("s1", seconds=10, tokens=1_000_000))
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    lines = generate_latest(registry).decode().splitlines()
    prefix, labels = "mistral_voice_control_plane_", f'mode="managed",model="{CHAT}",plan="standard"'
    assert f'{prefix}used_total{{{labels},unit="outputTokens"}} 1e+06' in lines
    assert f'{prefix}spent_total{{currency="EUR",{labels}}} 2.0' in lines
