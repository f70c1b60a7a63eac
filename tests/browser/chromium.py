"""A headless Chromium with a WAV file as its microphone, driven over its DevTools protocol; it records what its page plays."""

import asyncio
import base64
import contextlib
import itertools
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.waiting import eventually

PROGRAM = "chromium"
DEADLINE_SECONDS = 90.0
_NO_PAGE = ("execution context", "Execution context", "navigated or closed")
"""Of what the protocol says where a page was asked that is just being replaced."""
_RECORDER = """
window.heard = [];
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => violations.push(`${event.violatedDirective} ${event.blockedURI}`));
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (target, ...rest) {
  if (target instanceof AudioDestinationNode) {
    const recorder = this.context.createScriptProcessor(16384, 1, 1);
    recorder.onaudioprocess = ({ inputBuffer }) => heard.push(inputBuffer.getChannelData(0).slice());
    connect.call(this, recorder);
    connect.call(recorder, target);
    window.keptAlive = recorder;
  }
  return connect.call(this, target, ...rest);
};
"""
# Two pieces of the recorder, 1.4 s, are longer than any pause in a sentence.
_SILENT_AGAIN = "heard.length >= {} + 3 && heard.slice(-2).every((piece) => piece.every((value) => Math.abs(value) < 0.003))"
_HEARD = """(() => {
  const samples = new Int16Array(heard.reduce((sum, piece) => sum + piece.length, 0));
  let index = 0;
  for (const piece of heard) for (const value of piece) samples[index++] = Math.max(-1, Math.min(1, value)) * 32767;
  const bytes = new Uint8Array(samples.buffer);
  let text = "";
  for (let start = 0; start < bytes.length; start += 32768) text += String.fromCharCode(...bytes.subarray(start, start + 32768));
  return btoa(text);
})()"""


class NoPageError(AssertionError):
    """The page that was asked has gone, and the next isn't there yet."""


class Page:
    """One page of the browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self.exceptions: list[str] = []
        self.reading = asyncio.create_task(self._read())

    async def call(self, method: str, **parameters: Any) -> Any:
        """Call a method of the DevTools protocol."""
        number = next(self._ids)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await answer

    async def open(self, url: str) -> None:
        """Go to an address, with the recorder in place."""
        await self.call("Page.enable")
        await self.call("Runtime.enable")
        await self.call("Page.addScriptToEvaluateOnNewDocument", source=_RECORDER)
        await self.call("Page.navigate", url=url)
        await self.until("location.href !== 'about:blank' && document.readyState === 'complete'", "the page")

    async def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression, as by a person's hand."""
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, userGesture=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, expression: str, what: str, timeout_seconds: float = DEADLINE_SECONDS) -> Any:
        """Wait until an expression is true; fails with the page's text and its picture."""

        async def true() -> Any:
            try:
                return await self.evaluate(expression)
            except NoPageError:
                return None

        try:
            return await eventually(true, what, timeout_seconds, every_seconds=0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}\nThe page shows:\n{await self.evaluate('document.body.innerText')}") from None

    async def heard(self) -> bytes:
        """Return what the page has played, as soon as it is silent: PCM16 mono at 24 kHz."""
        recorded = await self.evaluate("heard.length")
        await self.until(_SILENT_AGAIN.format(recorded), "the page to be silent again")
        return base64.b64decode(await self.evaluate(_HEARD))

    async def picture(self, quality: int) -> bytes:
        """Return a small picture of what the window shows: WebP."""
        picture = await self.call("Page.captureScreenshot", format="webp", quality=quality)
        return base64.b64decode(picture["data"])

    async def resize(self, width: int, height: int, scheme: str = "dark") -> None:
        """Give the window a size, and the person a liking for `dark` or `light`."""
        await self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        await self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    async def press(self, key: str, code: int, text: str = "") -> None:
        """Press a key of the keyboard, and let it go."""
        for kind in ("keyDown", "keyUp"):
            await self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, text=text if kind == "keyDown" else ""
            )

    async def type(self, text: str) -> None:
        """Write where the focus is, as by the keyboard."""
        await self.call("Input.insertText", text=text)

    async def _read(self) -> None:
        async for message in self._socket:
            event = json.loads(message.data)
            if "id" in event:
                answer = self._answers.pop(event["id"])
                if answer.done():
                    continue  # Nobody waits for it any more.
                if "error" in event:
                    said = event["error"]["message"]
                    answer.set_exception(NoPageError(said) if any(word in said for word in _NO_PAGE) else AssertionError(said))
                else:
                    answer.set_result(event["result"])
            elif event["method"] == "Runtime.exceptionThrown":
                self.exceptions.append(str(event["params"]["exceptionDetails"]))


@contextlib.asynccontextmanager
async def running_page(microphone: Path | None, folder: Path, *flags: str) -> AsyncIterator[Page]:
    """Run Chromium while the context lasts; its microphone plays the file once and is silent then. None: any."""
    program = shutil.which(PROGRAM)
    assert program is not None, "Chromium is missing: `python -m tests.cluster browser` installs it."
    arguments = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--no-first-run",
        f"--user-data-dir={folder / 'profile'}",
        "--remote-debugging-port=0",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        *([f"--use-file-for-fake-audio-capture={microphone}%noloop"] if microphone is not None else []),
        "--force-dark-mode",
        "--window-size=1280,860",
        *flags,
        "about:blank",
    ]
    process = await asyncio.create_subprocess_exec(
        program,
        *arguments,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "HOME": str(folder)},
        start_new_session=True,
    )
    try:
        ports = folder / "profile" / "DevToolsActivePort"
        port = (await eventually(lambda: ports.read_text() if ports.exists() else "", "Chromium")).splitlines()[0]
        async with aiohttp.ClientSession() as http:

            async def first_page() -> str:
                async with http.get(f"http://127.0.0.1:{port}/json/list") as answer:
                    return next((entry["webSocketDebuggerUrl"] for entry in await answer.json() if entry["type"] == "page"), "")

            address = await eventually(first_page, "the browser's page")
            async with http.ws_connect(address, max_msg_size=256 * 1024 * 1024) as socket:
                page = Page(socket)
                yield page
                page.reading.cancel()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
