"""The programs of docs/clients.md, run as they stand there."""

import asyncio
import os
import re
from pathlib import Path

from tests.conformance.conftest import ANSWER, QUESTION
from tests.conformance.environment import REPOSITORY
from tests.conformance.libraries import Home, Library
from tests.conformance.person import DEADLINE_SECONDS
from tests.conformance.recorder import Recorder
from tests.support.gateway import TOKEN
from tests.support.speech import silence, speech, write_wav

_PROGRAM = re.compile(r"^## `(?P<name>[^`]+)`\n+```(?:python|js)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def program_of(library: Library) -> str:
    programs = {found["name"]: found["text"] for found in _PROGRAM.finditer((REPOSITORY / "docs" / "clients.md").read_text())}
    return programs[library.name]


async def test_the_program_in_the_docs_prints_the_answer(library: Library, recorder: Recorder, tmp_path: Path) -> None:
    write_wav(tmp_path / "question.wav", speech(QUESTION) + silence(1200))
    program = tmp_path / ("program.mjs" if library.home is Home.NODE else "program.py")
    program.write_text(program_of(library))
    process = await asyncio.create_subprocess_exec(
        *library.program_command(program),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=tmp_path,
        env={**library.environ(os.environ), "GATEWAY": recorder.base_url, "TOKEN": TOKEN},
    )
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            printed, complaints = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, complaints.decode()
    assert printed.decode().splitlines()[-1] == ANSWER
