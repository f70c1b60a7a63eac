"""The programs of docs/clients.md, run as they stand there."""

import asyncio
import os
import re
from pathlib import Path

import pytest

from tests.conformance.conftest import ANSWER, QUESTION, UMBRELLA
from tests.conformance.environment import REPOSITORY
from tests.conformance.libraries import OPENAI, Home, Library
from tests.conformance.person import DEADLINE_SECONDS
from tests.conformance.recorder import Recorder
from tests.support.gateway import TOKEN
from tests.support.speech import silence, speech, write_wav

_PROGRAM = re.compile(r"^##+ (?P<name>[^\n]*)\n(?:[^#`\n][^\n]*\n|\n)*```(?:python|js)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def program_below(heading: str) -> str:
    programs = {found["name"]: found["text"] for found in _PROGRAM.finditer((REPOSITORY / "docs" / "clients.md").read_text())}
    return programs[heading]


async def test_the_program_in_the_docs_prints_the_answer(library: Library, recorder: Recorder, tmp_path: Path) -> None:
    write_wav(tmp_path / "question.wav", speech(QUESTION) + silence(1200))
    assert await printed_by(program_below(f"`{library.name}`"), library, recorder, tmp_path) == ANSWER


@pytest.mark.clients(OPENAI)
async def test_the_program_with_functions_says_what_they_returned(library: Library, recorder: Recorder, tmp_path: Path) -> None:
    assert await printed_by(program_below("Functions with `openai`"), library, recorder, tmp_path) == UMBRELLA


async def printed_by(text: str, library: Library, recorder: Recorder, tmp_path: Path) -> str:
    """Run a program; returns the last line that it prints."""
    program = tmp_path / ("program.mjs" if library.home is Home.NODE else "program.py")
    program.write_text(text)
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
    return printed.decode().splitlines()[-1]
