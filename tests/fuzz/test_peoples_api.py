"""The API against its own description: whatever Schemathesis makes of it gets an answer that is described, and never a server's error."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.support.ledger import a_report, a_request, ledger_at, sqlite_url
from tests.support.peoples_api import peoples_api

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
    "negative_data_rejection,unsupported_method,ignored_auth"
)


@pytest.mark.in_real_time
async def test_the_api_keeps_to_its_description(tmp_path: Path) -> None:
    async with ledger_at(sqlite_url(tmp_path)) as world, peoples_api(world) as served:
        await world.ledger.admit(a_request("s1"))
        await world.ledger.renew(a_report("s1", seconds=1, tokens=100))
        await served.keys.refresh()
        served.table.everything = "platform"
        command = [sys.executable, "-m", "schemathesis.cli", "run", f"{served.base_url}/api/v1/openapi.json"]
        options = ["--header", "Authorization: Bearer platform", "--checks", CHECKS, "--max-examples", "25", "--seed", "1", "--no-color"]
        process = await asyncio.create_subprocess_exec(
            *command, *options, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=tmp_path
        )
        try:
            output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert process.returncode == 0, output.decode()
    assert "Tested: 17" in output.decode(), output.decode()
