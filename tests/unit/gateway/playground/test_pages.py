"""What the playground's page may do, and who gets it."""

import re
from pathlib import Path

import aiohttp
import pytest

from mistral_voice.contract.gateway_config import Policy
from mistral_voice.gateway.playground import pages
from tests.support.gateway import running_gateway
from tests.support.simulator import SimulatorHandle

STATIC = Path(pages.__file__).parent / "static"


async def test_the_page_runs_nothing_but_its_own_files(mistral: SimulatorHandle, tmp_path: Path) -> None:
    async with (
        running_gateway(mistral, tmp_path, policy=Policy(playground=True)) as gateway,
        aiohttp.ClientSession(gateway.base_url) as http,
    ):
        async with http.get("/") as page:
            assert str(page.url).endswith("/playground/")
            assert page.content_type == "text/html"
            policy = page.headers["Content-Security-Policy"]
            html = await page.text()
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert page.headers["Referrer-Policy"] == "no-referrer"
        names = re.findall(r'(?:src|href)="([^"]+)"', html)
        assert set(names) == {"app.js", "style.css", "icon.svg"}
        for file in STATIC.iterdir():
            async with http.get(f"/playground/{file.name}") as answer:
                assert answer.status == 200
                assert await answer.read() == file.read_bytes()
                tag = answer.headers["ETag"]
            async with http.get(f"/playground/{file.name}", headers={"If-None-Match": tag}) as answer:
                assert answer.status == 304
        for name in ("../pages.py", "pages.py", "..%2fpages.py", "nothing.js"):
            async with http.get(f"/playground/{name}") as answer:
                assert answer.status == 404


@pytest.mark.parametrize("file", sorted(STATIC.iterdir()), ids=lambda path: path.name)
def test_no_file_reaches_out_or_holds_inline_code(file: Path) -> None:
    text = file.read_text()
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)
    assert not re.search(r"\son\w+=|style=|<script(?! type=\"module\" src=)|innerHTML|eval\(", text)


async def test_who_merely_opens_the_page_gets_no_session(mistral: SimulatorHandle, tmp_path: Path) -> None:
    async with running_gateway(mistral, tmp_path, policy=Policy(playground=True)) as gateway, aiohttp.ClientSession() as http:
        async with http.get(gateway.base_url + "/playground/") as page:
            assert gateway.token not in await page.text()
            assert not page.cookies
        async with http.post(gateway.base_url + "/v1/realtime/client_secrets", headers={"Origin": gateway.base_url}) as answer:
            assert answer.status == 401
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await http.ws_connect(gateway.websocket_url, headers={"Origin": gateway.base_url})
