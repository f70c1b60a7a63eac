"""People look at the console in a browser: a real control plane, tokens that an API server reviews, and a ledger that was used."""

import asyncio
import json
import os
import re
import shlex
import time
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from mistral_voice.contract.v1alpha1.plan import PlanSpecification
from mistral_voice.controlplane.ledger.records import Scope
from mistral_voice.controlplane.store import schema
from tests.browser.chromium import Page
from tests.browser.console import (
    LIMITS,
    SPEC,
    TEAMS,
    a_busy_month,
    answering,
    console,
    ledger_of,
    rows,
    says,
    sign_in,
    talked,
    text,
    visit,
)
from tests.support.office import Office
from tests.unit.contract.v1alpha1.plans import plan_spec

SCREENSHOT = os.environ.get("CONSOLE_SCREENSHOT")
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'&{{7*7}}${7*7}"


async def test_a_platform_team_sees_plans_tenants_sessions_audit_and_keys(office: Office, tmp_path: Path) -> None:
    await a_busy_month(office)
    await office.start()
    async with console(office, tmp_path) as page, ledger_of(office) as world:
        await sign_in(page, await office.token("platform"))
        await page.until(says("gold", ".card h2"), "the plans")
        await visit(page, "#/plans/gold", "gold")
        assert "13 tenants" in await text(page)
        assert await page.evaluate("document.querySelectorAll('.tile .meter rect').length") >= 6
        sessions = int((await text(page, ".tile .figure")).split()[0])
        for number in range(5):
            await talked(world, TEAMS[number], f"later-{number}", tokens=20_000, seconds=20, ends=False)
            await page.evaluate("document.querySelector('[data-action=refresh]').click()")
            await page.until(f"document.querySelector('.tile .figure').innerText.startsWith('{sessions + number + 1} ')", "another session")
        assert (await page.evaluate(rows()))[0] in TEAMS
        await taken(page)
        await visit(page, "#/plans/gold?tab=sessions", "gold")
        await page.until(says("sales-now-3"), "the sessions")
        assert "mistral-medium-latest" in await text(page)
        await visit(page, "#/plans/gold?tab=audit&event=Refused", "gold")
        await page.until(says("Session refused", ".listing"), "the refusals")
        assert set(await page.evaluate("[...document.querySelectorAll('.listing td .badge')].map((badge) => badge.innerText)")) == {
            "Session refused"
        }
        await visit(page, "#/keys", "Keys")
        await page.until(says("2 of 4 keys active"), "the keys' states")
        await page.until(says("1 quarantined, 1 retired"), "what was withdrawn")
        assert await page.evaluate(rows()) == ["first", "second", "third", "old"]
        told = await text(page)
        assert re.search(r"rate limit, \d+ min left", told)
        assert "mistral-main" not in told
        await visit(page, "#/keys?pool=main", "Keys of main")
        await page.until(says("Key retired", ".panel:last-of-type"), "what happened to the keys")


async def taken(page: Page) -> None:
    """Take the documentation's picture, if it is asked for."""
    if SCREENSHOT:
        picture = await page.picture(82)
        await asyncio.to_thread(Path(SCREENSHOT).write_bytes, picture)


async def test_what_the_page_cannot_draw_it_tells_of_until_it_can(office: Office, tmp_path: Path) -> None:
    await office.start()
    async with console(office, tmp_path) as page:
        await answering(page, "/plans", "new Response('{\"items\": [{}]}')")
        await sign_in(page, await office.token("platform"))
        await page.until(says("This page can't be shown."), "the sentence")
        assert await page.evaluate("document.getElementById('state').dataset.state") == "lost"
        await answering(page, "/plans", "null")
        await page.until(says("gold", ".card h2"), "the plans, by themselves")
        assert page.exceptions, "the browser's console has it too"
        page.exceptions.clear()


async def test_an_amount_is_its_plans_own_a_filter_goes_when_it_is_cleared_and_a_strange_address_breaks_nothing(
    office: Office, tmp_path: Path
) -> None:
    async def written(name: str, text: str) -> None:
        await page.evaluate(f"document.querySelector('[name={name}]').focus()")
        await page.evaluate("document.activeElement.select()")
        await page.type(text)

    await office.start()
    async with console(office, tmp_path) as page:
        await sign_in(page, await office.token("platform"))
        await visit(page, "#/plans/gold?tab=change", "gold")
        await written("amount-gold-namespace-microUnits", "0.004")
        await page.until(says('"spendPerPeriod":"0.004"'), "the command, with all decimals")
        await visit(page, "#/plans/iron?tab=change", "iron")
        assert "0.004" not in await text(page)
        await visit(page, "#/plans/gold?find=team", "gold")
        await written("find", "another")
        await page.evaluate("document.activeElement.blur()")
        await visit(page, "#/plans/gold", "gold")
        await page.until("document.querySelector('[name=find]').value === ''", "the filter to be empty")
        await visit(page, "#/plans/gold?tab=constructor", "gold")
        await page.evaluate("location.hash = '#/constructor'")
        await page.until(says("There is no such page."), "the sentence")
        await page.evaluate("location.hash = '#/?more=x'")
        await page.until(says("gold", ".card h2"), "the plans")


async def test_names_that_are_code_stay_text(office: Office, tmp_path: Path) -> None:
    await a_busy_month(office)
    now = int(time.time() * 1000)
    async with ledger_of(office) as world, world.database.writing() as connection:
        balance = {
            "plan": "gold",
            "namespace": HOSTILE,
            "period": time.strftime("%Y-%m", time.gmtime()),
            "currency": "EUR",
            "session_ms": 10**9,
            "micro_units": 10**12,
        }
        for integration in ("", HOSTILE):
            row = {"scope": Scope("gold", HOSTILE, integration).key, "integration": integration, **balance}
            await connection.execute(insert(schema.balances), [row])
        whose = {"plan": "gold", "namespace": HOSTILE, "integration": HOSTILE}
        session = {"session": "a-hostile-one", "epoch": 1, "integration_uid": "", "broker": "", "models": HOSTILE, "started_at": now}
        key = {"pool": "main", "secret": "x", "data_key": "x", "region": "Global"}
        await connection.execute(insert(schema.sessions), [session | whose | key])
        hold = {
            "session": "a-hostile-one",
            "epoch": 1,
            "tenant": Scope("gold", HOSTILE).key,
            "expires_at": now + 3_600_000,
            "acknowledged_at": now,
        }
        await connection.execute(insert(schema.holds), [hold | whose | {"session_ms": 1, "micro_units": 1}])
        audited = {"at": now, "event": HOSTILE[:40], "session": HOSTILE[:64], "reason": HOSTILE[:40], "message": HOSTILE}
        await connection.execute(insert(schema.audit), [audited | whose])
        spec = PlanSpecification.model_validate(plan_spec(**SPEC)).model_dump_json(by_alias=True, exclude_none=True)
        await connection.execute(insert(schema.plans), [{"name": HOSTILE, "spec": spec, "changed_at": now, "deleted_at": None}])
    await office.start()
    async with console(office, tmp_path) as page:
        await page.evaluate("window.alert = () => { window.hacked = true; }; 0")
        await sign_in(page, await office.token("platform"))
        await page.until(says(HOSTILE, ".cards"), "the plan's name")
        for address in ("#/plans/gold", "#/plans/gold?tab=sessions", "#/plans/gold?tab=audit"):
            await visit(page, address, "gold")
            await page.until(says(HOSTILE, ".listing"), address)
        for address in (f"#/plans/{HOSTILE}", f"#/namespaces/{HOSTILE}", "#/plans/gold?find=<b>&sort=<b>&tab=<b>", "#/<b>"):
            await page.evaluate(f"location.hash = {json.dumps(address)}")
            await page.until("!document.querySelector('[aria-busy]') && document.querySelector('.sentence') !== null", address)
        assert await page.evaluate("document.querySelectorAll('main img, main script, main b').length") == 0
        assert await page.evaluate("window.hacked === undefined")


async def test_nothing_scrolls_sideways_on_a_small_screen(office: Office, tmp_path: Path) -> None:
    await a_busy_month(office)
    await office.start()
    async with console(office, tmp_path) as page:
        await page.resize(360, 740, "light")
        await page.until("document.getElementById('token') !== null", "the sign-in")
        await fits(page)
        await sign_in(page, await office.token("platform"))
        await page.until(says("gold", ".card h2"), "the plans")
        await fits(page)
        views = [
            ("#/keys", "Keys"),
            ("#/namespaces", "Namespaces"),
            (f"#/namespaces/{office.own}", office.own),
            ("#/namespaces/sales?tab=audit", "sales"),
        ]
        for address, title in [*[(f"#/plans/gold{tab}", "gold") for tab in ("", "?tab=sessions", "?tab=audit", "?tab=change")], *views]:
            await visit(page, address, title)
            await page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")
            await fits(page)


async def fits(page: Page) -> None:
    assert await page.evaluate("document.scrollingElement.scrollWidth") <= 360
    wide = "[...document.querySelectorAll('body *')].filter((node) => node.getBoundingClientRect().right > 361)"
    seen = f"{wide}.filter((node) => !node.closest('.unseen, .skip, .tabs, thead')).map((node) => node.outerHTML.slice(0, 200))"
    assert await page.evaluate(seen) == []


async def test_ten_thousand_tenants_come_page_by_page_in_the_order_that_is_asked_for(office: Office, tmp_path: Path) -> None:
    async with ledger_of(office) as world, world.database.writing() as connection:
        period = {"plan": "gold", "integration": "", "period": time.strftime("%Y-%m", time.gmtime()), "currency": "EUR"}
        tenants = [(f"team-{number:05}", number * 7919 % 10_000) for number in range(10_000)]
        values = [
            {"scope": Scope("gold", name).key, "namespace": name, "session_ms": spend, "micro_units": spend * 100, **period}
            for name, spend in tenants
        ]
        await connection.execute(insert(schema.balances), values)
    await office.start()
    by_spend = [name for name, spend in sorted(tenants, key=lambda tenant: -tenant[1])]
    async with console(office, tmp_path) as page:
        await sign_in(page, await office.token("platform"))
        await visit(page, "#/plans/gold", "gold")
        assert "10,000 tenants" in await text(page)
        assert await page.evaluate(rows()) == by_spend[:25]
        await page.evaluate("document.querySelector('[data-action=next]').click()")
        await page.until(says("Page 2"), "the next page")
        assert await page.evaluate(rows()) == by_spend[25:50]
        # The order is changed by the keyboard.
        await page.evaluate("document.querySelector('.sorter[data-value=name]').focus()")
        await page.press("Enter", 13, "\r")
        await page.until(
            f"JSON.stringify({rows()}) === {json.dumps(json.dumps([f'team-{n:05}' for n in range(25)], separators=(',', ':')))}",
            "the names' order",
        )
        assert await page.evaluate("document.querySelector('[aria-sort=ascending]').innerText.trim()") == "Namespace"
        assert await page.evaluate("document.activeElement.dataset.value") == "name"
        await page.evaluate("document.querySelector('[name=find]').focus()")
        await page.type("0777")
        await page.press("Enter", 13, "\r")
        found = sorted(name for name, _ in tenants if "0777" in name)
        await page.until(f"{rows()}.length === {len(found)}", "what was looked for")
        assert await page.evaluate(rows()) == found


async def test_it_stays_fresh_and_leaves_alone_what_somebody_does(office: Office, tmp_path: Path) -> None:
    await a_busy_month(office)
    await office.start()
    async with console(office, tmp_path) as page, ledger_of(office) as world:
        await sign_in(page, await office.token("platform"))
        await visit(page, "#/plans/gold", "gold")
        await page.evaluate("document.querySelector('[name=find]').focus()")
        await page.type("half a na")
        await page.evaluate("document.querySelector('.behind').open = true; document.querySelector('.listing tbody tr').mine = true; 0")
        sessions = int((await text(page, ".tile .figure")).split()[0])
        await talked(world, "triage", "one-more", tokens=10, seconds=1, ends=False)
        await page.until(f"document.querySelector('.tile .figure').innerText.startsWith('{sessions + 1} ')", "the next look, by itself")
        assert await page.evaluate("document.activeElement.name + document.activeElement.value") == "findhalf a na"
        assert await page.evaluate("document.querySelector('.behind').open && document.querySelector('.listing tbody tr').mine")


async def test_what_it_shows_to_copy_does_what_it_says(office: Office, tmp_path: Path) -> None:
    await a_busy_month(office)
    await office.start()

    async def run(page: Page, title: str, stdin: str | None = None) -> None:
        commands = "[...document.querySelectorAll('.command')]"
        found = f"{commands}.find((one) => one.querySelector('h3').innerText === {json.dumps(title)})"
        await page.until(f"{found} !== undefined", title)
        for line in str(await page.evaluate(f"{found}.querySelector('button').dataset.value")).splitlines():
            program, *words = shlex.split(line, comments=True)
            assert program == "kubectl"
            office.cluster.kubectl(*words, stdin=stdin)

    def spec(kind: str, name: str) -> Any:
        return json.loads(office.cluster.kubectl("get", kind, name, "-o", "json").stdout)["spec"]

    async with console(office, tmp_path) as page:
        await sign_in(page, await office.token("platform"))
        await visit(page, "#/plans/gold?tab=change", "gold")
        assert "Now it is 2 EUR in a period." in await text(page)
        await page.evaluate("document.querySelector('[name=amount-gold-namespace-microUnits]').focus()")
        await page.evaluate("document.activeElement.select()")
        await page.type("3.5")
        await page.until(says('{"spec":{"limits":{"spendPerPeriod":"3.50"}}}'), "the command")
        await run(page, "Set this limit")
        assert spec("mistralvoiceplan", "gold")["limits"] == {**LIMITS, "spendPerPeriod": "3.50"}
        await page.until(says("Now it is 3.5 EUR in a period."), "the new limit")
        await run(page, "Hold the plan")
        await page.until(says("Held", ".heading"), "the hold")
        await run(page, "Take sessions again")
        await page.until("!document.querySelector('.heading').innerText.includes('Held')", "the hold's end")
        await visit(page, "#/keys", "Keys")
        await page.evaluate("document.querySelector('.changes').open = true")
        await page.evaluate(f"document.querySelector('[name=space-main]').value = '{office.own}'")
        await page.evaluate("document.querySelector('[name=space-main]').dispatchEvent(new Event('input', {bubbles: true}))")
        await run(page, "Add a key", stdin="not-a-real-key")
        await page.until(f"{rows()}.at(-1) === 'key-5'", "the new key")
        assert office.cluster.kubectl("get", "secret", "mistral-key-5", "-n", office.own, "-o", "jsonpath={.data.apiKey}").stdout
        await run(page, "Retire second")
        assert [key["name"] for key in spec("mistralkeypool", "main")["keys"] if key.get("retire")] == ["second", "old"]


async def test_everything_that_can_be_used_has_a_name_and_the_keyboard_reaches_it(office: Office, tmp_path: Path) -> None:
    await a_busy_month(office)
    await office.start()
    async with console(office, tmp_path) as page:
        await page.until("document.getElementById('token') !== null", "the sign-in")
        assert await unnamed(page) == []
        await sign_in(page, await office.token("platform"))
        for address, title in (
            ("#/plans/gold", "gold"),
            ("#/plans/gold?tab=change", "gold"),
            ("#/keys", "Keys"),
            (f"#/namespaces/{office.own}", office.own),
        ):
            await visit(page, address, title)
            assert await unnamed(page) == []
        assert await page.evaluate("document.activeElement.id") == "title"
        await page.evaluate("window.former = true")
        await page.call("Page.reload")
        title = f"document.getElementById('title')?.textContent === '{office.own}'"
        await page.until(f"window.former === undefined && {title}", "the same page, without another sign-in")
        await page.press("Tab", 9)
        assert await page.evaluate("document.activeElement.innerText") == "Skip to the content"


async def unnamed(page: Page) -> list[str]:
    """Controls, pictures and tables that a screen reader has no name for."""
    tree = await page.call("Accessibility.getFullAXTree")
    roles = {
        "button",
        "link",
        "textbox",
        "searchbox",
        "combobox",
        "spinbutton",
        "table",
        "navigation",
        "image",
        "columnheader",
        "rowheader",
    }
    nodes = [node for node in tree["nodes"] if not node["ignored"] and node["role"]["value"] in roles]
    assert nodes
    return [node["role"]["value"] for node in nodes if not node.get("name", {}).get("value")]
