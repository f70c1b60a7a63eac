"""The playground in the hands of visitors: on a phone, by keyboard alone, after a session, with a secret that is void."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mistral_voice.contract.gateway_config import Policy
from tests.browser.chromium import Page, running_page
from tests.browser.visitor import enter, received, said_by, sent, typed
from tests.support.gateway import TOKEN, GatewayHandle, running_gateway
from tests.support.simulator import SimulatorHandle, running_simulator
from tests.support.speech import silence, speech, write_wav

QUESTION = "What is the capital of France?"
SCRIPT = {
    "transcription": {"listening": "anything", "turns": [{"text": QUESTION, "word_ms": 50}]},
    "chat": {"replies": [{"text": "Paris lies on a river, and many people live there. " * 20, "token_ms": 5}]},
}
PHONE = {"width": 360, "height": 640}
IS_LIVE = "document.body.classList.contains('live')"
MORE_THAN_A_WORD = """[...document.querySelectorAll('#log .sent')].some(
    (line) => line.textContent.includes('append') && Number(line.querySelector('.count').textContent.slice(1)) >= 20)"""


@pytest.fixture
async def mistral() -> AsyncIterator[SimulatorHandle]:
    async with running_simulator(SCRIPT) as simulator:
        yield simulator


@pytest.fixture
async def gateway(mistral: SimulatorHandle, tmp_path: Path) -> AsyncIterator[GatewayHandle]:
    async with running_gateway(mistral, tmp_path / "pod", policy=Policy(playground=True)) as running:
        yield running


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    async with running_page(write_wav(tmp_path / "voice.wav", silence(500), rate_hz=48_000), tmp_path) as opened:
        yield opened
        assert opened.exceptions == []


async def press(page: Page, key: str, text: str = "", *, up: bool = True) -> None:
    code = {" ": 32, "Enter": 13, "Escape": 27, "Tab": 9}[key]
    await page.call("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, text=text)
    if up:
        await page.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)


async def focus_by_tab(page: Page, element: str) -> None:
    for _ in range(20):
        if await page.evaluate("document.activeElement.id") == element:
            return
        await press(page, "Tab")
    raise AssertionError(f"No way leads to {element!r} by the Tab key.")


def in_view(element: str) -> str:
    return (
        f"(({{left, top, right, bottom}}) => left >= 0 && top >= 0 && right <= innerWidth && bottom <= innerHeight && right > left)"
        f"(document.getElementById('{element}').getBoundingClientRect())"
    )


async def test_on_a_phone_nothing_scrolls_sideways_and_a_session_can_be_muted_and_ended(gateway: GatewayHandle, page: Page) -> None:
    await page.call("Emulation.setDeviceMetricsOverride", **PHONE, deviceScaleFactor=2, mobile=True)
    narrow = "document.documentElement.scrollWidth <= 360 && innerWidth === 360"
    await enter(page, gateway, first=f"window.wasNarrow = {narrow}")
    assert await page.evaluate("wasNarrow")
    await page.until(IS_LIVE, "the connection")
    await typed(page, "Tell me about Paris, and use oneverylongwordwithoutanyspacethatmightwidenthepageforallwhoreadit.")
    await page.until(f"{said_by('assistant')}.length > 0", "the reply")
    await page.evaluate("document.querySelector('#log details')?.setAttribute('open', '')")
    for scrolled in (0, 10_000):
        await page.evaluate(f"window.scrollTo(0, {scrolled})")
        assert await page.evaluate(narrow)
        assert await page.evaluate(in_view("mute"))
        assert await page.evaluate(in_view("end"))


async def test_after_a_session_its_transcript_can_be_read_and_another_begun(gateway: GatewayHandle, page: Page) -> None:
    await enter(page, gateway)
    await page.until(IS_LIVE, "the connection")
    await typed(page, "Tell me about Paris.")
    await page.until(f"{said_by('assistant')}.length > 0", "the reply")
    await page.evaluate("document.getElementById('end').click()")
    await page.until(f"!{IS_LIVE}", "the end")
    assert await page.evaluate("document.getElementById('welcome').open") is False
    assert await page.evaluate("document.getElementById('transcript').textContent.includes('The session has ended.')")
    assert await page.evaluate("document.activeElement.id") == "again"
    await press(page, "Enter", "\r")
    await page.until("document.getElementById('welcome').open", "the dialog")
    await press(page, "Escape")
    await page.until("!document.getElementById('welcome').open && document.activeElement.id === 'again'", "the dialog to be gone")
    await page.evaluate(f"document.getElementById('again').click(); document.getElementById('token').value = '{TOKEN}'")
    await page.evaluate("document.getElementById('start').click()")
    await page.until(IS_LIVE, "the next session")
    assert await page.evaluate(said_by("assistant")) == []


async def test_a_secret_that_is_void_is_named_as_such(gateway: GatewayHandle, page: Page) -> None:
    await enter(page, gateway, "ek_of.somebody-else")
    await page.until("document.getElementById('problem').textContent.includes('none of this integration')", "the refusal")
    assert await page.evaluate("document.getElementById('problem').textContent.includes('ask for a new one')")
    assert await page.evaluate("document.getElementById('start').disabled") is False


async def test_where_a_browser_gives_no_sound_the_page_says_where_it_does(gateway: GatewayHandle, page: Page) -> None:
    await enter(page, gateway, first="Object.defineProperty(window, 'isSecureContext', { value: false }); 0")
    await page.until("document.getElementById('problem').textContent.includes('by https, or from localhost')", "the reason")
    assert gateway.lifecycle is not None
    assert gateway.lifecycle.session_count == 0


async def test_a_microphone_that_is_forbidden_leaves_the_keyboard(gateway: GatewayHandle, page: Page) -> None:
    forbidden = "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotAllowedError'); }; 0"
    await enter(page, gateway, first=forbidden)
    await page.until(IS_LIVE, "the connection")
    assert "allow it beside the address" in await page.evaluate("document.getElementById('transcript').textContent")
    assert await page.evaluate("document.getElementById('mute').hidden") is True
    await typed(page, "Tell me about Paris.")
    await page.until(f"{said_by('assistant')}.length > 0", "the reply")


async def test_what_still_comes_of_an_interrupted_reply_is_not_played(gateway: GatewayHandle, page: Page) -> None:
    """Here the cancellation never arrives, so that much still comes."""
    await enter(
        page,
        gateway,
        first="""
        window.came = [];
        window.told = [];
        const send = WebSocket.prototype.send;
        WebSocket.prototype.send = function (text) {
          if (!window.watched) {
            window.watched = this;
            this.addEventListener("message", ({ data }) => came.push(JSON.parse(data)));
          }
          if (JSON.parse(text).type !== "response.cancel") send.call(this, text);
        };
        const post = MessagePort.prototype.postMessage;
        MessagePort.prototype.postMessage = function (message, ...rest) {
          told.push(message.stop ? "stop" : message.item);
          return post.call(this, message, ...rest);
        };
        0""",
    )
    await page.until(IS_LIVE, "the connection")
    await typed(page, "Tell me about Paris.")
    await page.until("document.body.classList.contains('speaking')", "the reply to be heard")
    await typed(page, "Stop.")
    pieces = "came.filter(({ type }) => type === 'response.output_audio.delta').length"
    already = await page.evaluate(pieces)
    await page.until(f"{pieces} > {already} + 3", "more of the reply")
    assert await page.evaluate("told.at(-1)") == "stop"
    assert await page.evaluate(f"{sent()}.includes('response.cancel')")


async def test_push_to_talk_by_keyboard_alone(mistral: SimulatorHandle, tmp_path: Path) -> None:
    microphone = write_wav(tmp_path / "voice.wav", speech(QUESTION) * 20, rate_hz=48_000)
    async with (
        running_gateway(mistral, tmp_path / "pod", policy=Policy(playground=True), turn_detection="push_to_talk") as gateway,
        running_page(microphone, tmp_path) as page,
    ):
        await page.open(gateway.base_url + "/")
        await focus_by_tab(page, "token")
        await page.call("Input.insertText", text=TOKEN)
        await press(page, "Enter", "\r")
        await page.until(IS_LIVE, "the connection")
        await focus_by_tab(page, "hold")
        await press(page, " ", " ", up=False)
        await page.until(MORE_THAN_A_WORD, "the voice to be sent")
        await page.call("Input.dispatchKeyEvent", type="keyUp", key=" ", windowsVirtualKeyCode=32)
        await page.until(f"{said_by('caller')}.includes('{QUESTION}')", "the question")
        await page.until(f"{said_by('assistant')}.length > 0", "the reply")
        await focus_by_tab(page, "end")
        await press(page, "Enter", "\r")
        await page.until(f"!{IS_LIVE}", "the end")
        assert not await page.evaluate(f"{received()}.includes('error')")
        assert page.exceptions == []
