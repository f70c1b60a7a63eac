"""`gateway-start`: from exec to the first 200 of /readyz, asked every 10 ms. Prints the median, and `-worst`, as JSON lines."""

import asyncio
import http.client
import os
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path

from mistral_voice.contract.gateway_config import encode
from tests.bench.line import at_most, progress, runs
from tests.support.gateway import GatewayFiles, gateway_config

GOAL_SECONDS = 1.0
EVERY_SECONDS = 0.010
GIVE_UP_SECONDS = 30.0


def main() -> int:
    """Measure; returns 0 if that was possible, whatever the figure."""
    count = runs(10)
    with tempfile.TemporaryDirectory() as directory:
        files = GatewayFiles(Path(directory))
        files.write("a-key-that-nobody-asks-for")
        files.config.write_text(encode(gateway_config("https://127.0.0.1:9", files)))
        asyncio.run(_start_and_stop(files))  # once unmeasured: it compiles and fills the page cache, as an image has it
        measured = []
        for number in range(count):
            measured.append(asyncio.run(_start_and_stop(files)))
            progress(f"start {number + 1} of {count}: {measured[-1]:.3f} s")
    at_most("gateway-start", statistics.median(measured), "s", GOAL_SECONDS, runs=count).print()
    at_most("gateway-start-worst", max(measured), "s", GOAL_SECONDS, runs=count).print()
    return 0


async def _start_and_stop(files: GatewayFiles) -> float:
    client_port, metrics_port = _free_port(), _free_port()
    command = Path(sys.executable).with_name("mistral-voice")
    ports = ["--host", "127.0.0.1", "--client-port", str(client_port), "--metrics-port", str(metrics_port), "--drain-accept-seconds", "0"]
    started = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        command, "gateway", "--config", str(files.config), *ports, stderr=asyncio.subprocess.DEVNULL, env={"PATH": os.environ["PATH"]}
    )
    try:
        while not _is_ready(metrics_port):
            if process.returncode is not None or time.monotonic() - started > GIVE_UP_SECONDS:
                raise RuntimeError("The gateway did not become ready.")
            await asyncio.sleep(EVERY_SECONDS)
        return time.monotonic() - started
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1.0)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main())
