import asyncio

from prometheus_client import CollectorRegistry, generate_latest

from mistral_voice.contract.v1alpha1.pool import KeyState
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
    assert "_limit{" not in generate_latest(registry).decode(), "what is not limited has no limit to tell"
    catalogue.set_plan("standard", a_plan(total={"concurrentSessions": 40, "spendPerPeriod": "99.5"}))
    await figures.refresh()
    lines = generate_latest(registry).decode().splitlines()
    for line in (f"sessions_limit{{{labels}}} 40.0", f'spent_limit{{currency="EUR",{labels}}} 99.5'):
        assert f"{prefix}{line}" in lines
    catalogue.remove_plan("standard")
    await figures.refresh()
    assert "standard" not in generate_latest(registry).decode()


def test_pools_tell_in_what_states_their_keys_are_until_they_are_gone() -> None:
    registry = CollectorRegistry()
    metrics = ControlPlaneMetrics(registry)
    metrics.pools_are({"europe": [KeyState.ACTIVE, KeyState.ACTIVE, KeyState.QUARANTINED], "empty": []})
    lines = generate_latest(registry).decode().splitlines()
    prefix = "mistral_voice_control_plane_"
    for line in ('active_keys{pool="europe"} 2.0', 'active_keys{pool="empty"} 0.0'):
        assert f"{prefix}{line}" in lines
    for state, count in (("Active", 2), ("Quarantined", 1), ("Draining", 0)):
        assert f'{prefix}keys{{pool="europe",state="{state}"}} {count}.0' in lines
    metrics.pools_are({})
    assert "europe" not in generate_latest(registry).decode()


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
