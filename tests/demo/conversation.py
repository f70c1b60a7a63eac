"""A spoken question, put to the integration by `mistral-voice talk`."""

import asyncio
import base64
import subprocess
import sys
import time
import wave
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import numpy as np

from mistral_voice.simulator.live.voice import load_voice
from tests.cluster import NodeCluster
from tests.cluster.commands import failure
from tests.demo.place import INTEGRATION, TEAM
from tests.demo.waiting import get
from tests.support.port_forward import port_forward

QUESTION: Final = "What is the capital of France?"
_RATE: Final = 24_000
_TALK_SECONDS: Final = 90
_KEY_SECONDS: Final = 150
"""How long a repaired key may take to reach the gateway: the kubelet brings a changed Secret within two minutes."""
_KEY_RETRY_SECONDS: Final = 10
_KEY_REFUSED: Final = "refused the integration's API key (401)"


def speak_question(target: Path) -> None:
    """Write the question as speech with a second of silence, which ends a turn: 24 kHz, 16 bits, mono. It is made once."""
    if target.exists():
        return
    samples = np.concatenate([asyncio.run(_spoken(QUESTION)), np.zeros(_RATE)])
    unfinished = target.with_suffix(".new")
    with wave.open(str(unfinished), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    unfinished.rename(target)


async def _spoken(text: str) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    speaker = await load_voice()
    try:
        return np.concatenate([piece async for piece in speaker.speak(text, _RATE)])
    finally:
        speaker.close()


def ask(cluster: NodeCluster, question: Path, reply: Path, token_file: Path) -> str:
    """Put the question to the integration, write its spoken answer to `reply` and return what `mistral-voice talk` prints.

    Raises:
        ClusterError: there was no answer; the text ends with what `talk` said.
    """
    integration = get(cluster, "--namespace", TEAM, "mistralvoiceintegration", INTEGRATION)
    gateway = integration["status"]["gateway"]
    url = urlsplit(next(endpoint["url"] for endpoint in gateway["endpoints"] if endpoint["type"] == "Internal"))
    secret = get(cluster, "--namespace", TEAM, "secret", gateway["tokenSecretName"])
    token_file.touch(mode=0o600)
    token_file.write_bytes(base64.b64decode(secret["data"]["token"]))
    with port_forward(cluster, TEAM, f"service/{INTEGRATION}-voice", url.port or 80) as port:
        argv = [sys.executable, "-m", "mistral_voice.cli.main", "talk"]
        argv += ["--url", f"ws://127.0.0.1:{port}{url.path}", "--token-file", str(token_file), "--in", str(question), "--out", str(reply)]
        deadline = time.monotonic() + _KEY_SECONDS
        while True:
            result = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=_TALK_SECONDS)
            said = result.stdout + result.stderr
            if result.returncode == 0:
                return result.stdout
            if _KEY_REFUSED not in said or time.monotonic() > deadline:
                raise failure("get a spoken answer", argv, result.returncode, said.splitlines())
            print("      the gateway still has the former key: a changed Secret reaches a pod within two minutes …", flush=True)
            time.sleep(_KEY_RETRY_SECONDS)
