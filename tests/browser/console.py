"""The console in a browser, before a ledger that was used: how its tests sign in, go about and read it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from mistral_voice.contract.v1alpha1.plan import PlanSpecification
from mistral_voice.controlplane.ledger.decisions import KnownPlan
from mistral_voice.controlplane.store import schema
from tests.browser.chromium import Page, running_page
from tests.support.ledger import World, a_report, a_request, ledger_at
from tests.support.office import Office
from tests.unit.contract.v1alpha1.plans import plan_spec

LIMITS = {"concurrentSessions": 10, "sessionSecondsPerPeriod": 3600, "spendPerPeriod": "2.00"}
SPEC: dict[str, Any] = {
    "limits": LIMITS,
    "total": {"concurrentSessions": 40, "sessionSecondsPerPeriod": 36_000, "spendPerPeriod": "24.00"},
    "quantumSeconds": 300,
}
TEAMS = (
    "billing",
    "claims",
    "concierge",
    "dispatch",
    "helpdesk",
    "intake",
    "reception",
    "returns",
    "sales",
    "scheduling",
    "support",
    "triage",
)


@asynccontextmanager
async def ledger_of(office: Office) -> AsyncIterator[World]:
    """The office's ledger, asked as its broker port asks it, at the present time."""
    async with ledger_at(office.database_url) as world:
        world.now = time.time()
        world.plans = dict.fromkeys(("gold", "iron"), KnownPlan(PlanSpecification.model_validate(plan_spec(**SPEC))))
        world.ledger = world.replica()
        task = asyncio.create_task(world.ledger.run())
        try:
            yield world
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def talked(
    world: World, namespace: str, session: str, *, tokens: int, seconds: float, ends: bool, integration: str = "assistant"
) -> None:
    await world.ledger.admit(a_request(session, namespace=namespace, integration=integration, plan="gold"))
    world.now += 0.002
    report = a_report(session, tokens=tokens, seconds=seconds)
    await (world.ledger.release(report) if ends else world.ledger.renew(report))


async def a_busy_month(office: Office) -> None:
    """Tenants that have talked in three months, some that talk now, one that was refused, and keys in all states."""
    async with ledger_of(office) as world:
        for months in (2, 1, 0):
            world.now = time.time() - months * 31 * 86_400
            for number, team in enumerate((office.own, *TEAMS)):
                tokens = (number * 37 % 11 + 2) * 70_000 // (months + 1)
                await talked(world, team, f"{team}-{months}", tokens=tokens, seconds=200 + number * 90, ends=months > 0 or number % 2 == 1)
        for number in range(11):
            await talked(world, "sales", f"sales-now-{number}", tokens=1_000, seconds=5, ends=False, integration="outbound")
        rows = [
            key_row("mistral-main", "Active", ""),
            key_row("mistral-second", "Active", ""),
            key_row(
                "mistral-third", "Quarantined", "Mistral's rate limit was reached (429) by a key of its domain.", reason="rate", minutes=50
            ),
            key_row("mistral-old", "Draining", "It is withdrawn; 2 sessions still hold it."),
        ]
        async with world.database.writing() as connection:
            await connection.execute(insert(schema.pool_keys), rows)
    keys: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("first", "mistral-main", {}),
        ("second", "mistral-second", {"weight": 3}),
        ("third", "mistral-third", {"rateLimitDomain": "workspace-b"}),
        ("old", "mistral-old", {"retire": True}),
    )
    spec = {"keys": [{"name": name, "secretRef": {"name": secret}, **more} for name, secret, more in keys]}
    office.cluster.kubectl("patch", "mistralkeypool", "main", "--type", "merge", "--patch", json.dumps({"spec": spec}))


def key_row(secret: str, state: str, message: str, reason: str | None = None, minutes: int = 0) -> dict[str, Any]:
    now = int(time.time() * 1000)
    times = {"until": now + minutes * 60_000 if minutes else None, "changed_at": now - 7_200_000, "probed_at": now - 90_000}
    rest = {"generation": "1", "failures": 0, "probe_due_at": now + 300_000, "probe_broker": "", "probe_until": 0}
    return {"pool": "main", "secret": secret, "state": state, "reason": reason, "message": message, **times, **rest}


@asynccontextmanager
async def console(office: Office, folder: Path) -> AsyncIterator[Page]:
    """The console in a browser. At its end nothing was against its content security policy, nothing threw, and no address held a token."""
    async with running_page(None, folder) as page:
        await page.call("Log.enable")
        await page.resize(1280, 860)
        await page.open(office.origin + "/")
        yield page
        assert await page.evaluate("violations") == []
        assert page.exceptions == []
        seen = await page.evaluate("[location.href, ...performance.getEntriesByType('resource').map((entry) => entry.name)].join(' ')")
        assert "eyJ" not in seen


async def sign_in(page: Page, token: str) -> None:
    """Paste a token and press the button, again if a busy machine's API server didn't answer in time."""
    await page.until("document.getElementById('token') !== null", "the sign-in")
    for _ in range(5):
        await page.evaluate(f"document.getElementById('token').value = {json.dumps(token)}")
        await page.evaluate("document.getElementById('token').form.requestSubmit()")
        told = "document.getElementById('problem')?.textContent ?? ''"
        await page.until(f"!document.getElementById('top').hidden || ({told}) !== ''", "an answer")
        if "can't be" not in await page.evaluate(told):
            return


async def visit(page: Page, address: str, title: str) -> None:
    """Go to a view and wait until it stands there whole: that of before may have the same title, until the page hears of the move."""
    await page.evaluate(
        f"""location.hash === {json.dumps(address)} || new Promise((gone) => {{
          addEventListener("hashchange", () => gone(true), {{ once: true }});
          location.hash = {json.dumps(address)};
        }})"""
    )
    await page.until(
        f"document.getElementById('title')?.textContent === {json.dumps(title)} && !document.querySelector('[aria-busy]')", title
    )


async def text(page: Page, selector: str = "main") -> str:
    return str(await page.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))


def says(words: str, selector: str = "main") -> str:
    return f"(document.querySelector({json.dumps(selector)})?.innerText ?? '').includes({json.dumps(words)})"


def rows(selector: str = ".listing") -> str:
    return f"[...document.querySelectorAll('{selector} tbody tr')].map((row) => row.firstElementChild.innerText.trim())"


async def answering(page: Page, path: str, answer: str) -> None:
    """Let the page get `answer`, a JavaScript expression, where it asks for what begins so; null: what there is."""
    await page.evaluate(
        f"""window.askedFor ??= window.fetch;
        window.fetch = async (address, ...rest) =>
          (String(address).startsWith("../api/v1{path}") && {answer}) || askedFor(address, ...rest); null"""
    )
