"""Who is let into the console, what a tenant sees of it, and what it does when its token or its control plane is gone."""

import base64
import json
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from mistral_voice.contract.lease import CONTROL_PLANE_AUDIENCE
from tests.browser.console import TEAMS, a_busy_month, answering, console, says, sign_in, text, visit
from tests.support.office import Office


async def test_a_tenant_sees_its_own_and_is_told_in_a_sentence_what_it_may_not_read(office: Office, tmp_path: Path) -> None:
    await a_busy_month(office)
    await office.start()
    async with console(office, tmp_path) as page:
        await sign_in(page, await office.token("tenant"))
        await page.until(f"document.getElementById('title')?.textContent === '{office.own}'", "its own namespace")
        assert await page.evaluate("location.hash") == f"#/namespaces/{office.own}"
        own = await text(page)
        assert "Plan gold" in own
        assert await page.evaluate("document.querySelectorAll('.plot .bar').length") == 3
        assert not any(team in own for team in TEAMS)
        for address, title, sentence in (
            ("#/", "Plans", "Your token may not read any plan's usage"),
            ("#/keys", "Keys", "Your token may not read any pool's status"),
            ("#/plans/gold", "gold", "You may not get mistralvoiceplans/usage gold"),
            ("#/plans/unheard-of", "unheard-of", "You may not get mistralvoiceplans/usage unheard-of"),
            ("#/namespaces/sales", "sales", "You may not get mistralvoiceintegrations in namespace sales"),
            ("#/namespaces/sales?tab=audit", "sales", "You may not get mistralvoiceintegrations in namespace sales"),
        ):
            await visit(page, address, title)
            await page.until(says(sentence), sentence)


def expired_token(office: Office) -> str:
    """A token that the API server's own key has signed, whose time is over."""
    (file,) = office.cluster.folder.rglob("sa.key")
    key = serialization.load_pem_private_key(file.read_bytes(), None)
    assert isinstance(key, EllipticCurvePrivateKey)
    subject = f"system:serviceaccount:{office.own}:platform"
    claims = {
        "iss": "https://kubernetes.default.svc.cluster.local",
        "aud": [CONTROL_PLANE_AUDIENCE],
        "sub": subject,
        "iat": 1_700_000_000,
        "exp": 1_700_003_600,
    }
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in ({"alg": "ES256", "typ": "JWT"}, claims)]
    signature = b"".join(half.to_bytes(32, "big") for half in decode_dss_signature(key.sign(b".".join(parts), ECDSA(hashes.SHA256()))))
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


async def test_a_token_that_is_not_accepted_is_told_why_and_is_not_kept(office: Office, tmp_path: Path) -> None:
    await office.start()
    async with console(office, tmp_path) as page:
        for token, sentence in (
            ("nonsense", "The token is not accepted"),
            (await office.token("platform", None), f"Make one with --audience {CONTROL_PLANE_AUDIENCE}"),
            (await office.token("platform", "mistral-voice-broker"), "This token is for mistral-voice-broker"),
            (expired_token(office), "This token expired at 2023-11-14 23:13 UTC"),
            ("", "Paste a token first"),
        ):
            await sign_in(page, token)
            await page.until(says(sentence, "#problem"), sentence)
            assert await page.evaluate("sessionStorage.length + localStorage.length + document.cookie.length") == 0
        await sign_in(page, await office.token("platform"))
        await page.until(says("gold", ".card h2"), "the plans")
        await page.evaluate("document.querySelector('[data-action=sign-out]').click()")
        await page.until("document.getElementById('token') !== null", "the sign-in")
        assert await page.evaluate("sessionStorage.length") == 0


async def test_a_token_is_kept_only_once_its_first_page_is_known(office: Office, tmp_path: Path) -> None:
    await office.start()
    async with console(office, tmp_path) as page:
        await answering(page, "/plans", 'new Response(\'{"detail": "The ledger rests."}\', {status: 503})')
        await sign_in(page, await office.token("tenant"))
        await page.until(says("The ledger rests.", "#problem"), "what is wrong")
        assert await page.evaluate("sessionStorage.length") == 0
        await answering(page, "/plans", "null")
        await sign_in(page, await office.token("tenant"))
        await page.until(f"location.hash === '#/namespaces/{office.own}'", "its own namespace")
        assert await page.evaluate("sessionStorage.length") == 1


async def test_a_control_plane_that_is_away_is_told_and_so_is_a_token_that_has_ended_meanwhile(office: Office, tmp_path: Path) -> None:
    await a_busy_month(office)
    await office.start()
    async with console(office, tmp_path) as page:
        await sign_in(page, await office.token("platform"))
        await visit(page, "#/plans/gold?tab=audit", "gold")
        await page.until("document.querySelectorAll('.listing tbody tr').length > 0", "the audit")
        await office.stop()
        await page.until(says("The control plane can't be reached. What you see is of", "#banner"), "the banner")
        assert await page.evaluate("document.querySelectorAll('.listing tbody tr').length") > 0
        await office.start()
        await page.until("document.getElementById('banner').hidden", "the banner's end")
        await office.stop()
        office.cluster.kubectl("delete", "serviceaccount", "platform", "--namespace", office.own)
        await office.start()
        await page.until(says("The token is not accepted", "#problem"), "the sign-in")
        assert await page.evaluate("sessionStorage.length") == 0
        await sign_in(page, await office.token("all-plans"))
        await page.until("document.getElementById('title')?.textContent === 'gold'", "the place where they were")
        assert await page.evaluate("location.hash") == "#/plans/gold?tab=audit"
