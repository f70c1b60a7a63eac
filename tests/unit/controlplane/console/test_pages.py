"""What the console's page may do, and what of it reaches whom."""

import re
from pathlib import Path

import aiohttp
import pytest

from mistral_voice.controlplane.console import pages
from tests.support.ledger import World
from tests.support.peoples_api import peoples_api

STATIC = Path(pages.__file__).parent / "static"


async def test_the_page_runs_nothing_but_its_own_files_and_needs_no_token(world: World) -> None:
    async with peoples_api(world) as served, aiohttp.ClientSession(served.base_url) as http:
        async with http.get("/") as page:
            assert str(page.url).endswith("/console/")
            assert page.content_type == "text/html"
            policy = page.headers["Content-Security-Policy"].split("; ")
            html = await page.text()
        assert {"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "form-action 'none'"} <= set(
            policy
        )
        assert not any("unsafe" in directive for directive in policy)
        assert page.headers["Referrer-Policy"] == "no-referrer"
        assert not page.cookies
        assert set(re.findall(r'(?:src|href)="([^"#]+)"', html)) == {"app.js", "style.css", "parts.css", "icon.svg"}
        for file in STATIC.iterdir():
            async with http.get(f"/console/{file.name}") as answer:
                assert answer.status == 200
                assert await answer.read() == file.read_bytes()
                tag = answer.headers["ETag"]
            async with http.get(f"/console/{file.name}", headers={"If-None-Match": tag}) as answer:
                assert answer.status == 304
        for name in ("../pages.py", "pages.py", "..%2fpages.py", "nothing.js"):
            async with http.get(f"/console/{name}") as answer:
                assert answer.status == 404


@pytest.mark.parametrize("file", sorted(STATIC.iterdir()), ids=lambda path: path.name)
def test_no_file_reaches_out_or_holds_inline_code(file: Path) -> None:
    text = file.read_text()
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)
    assert not re.search(r"\son\w+=|style=|<script(?! type=\"module\" src=)|innerHTML|outerHTML|insertAdjacent|eval\(|localStorage", text)
