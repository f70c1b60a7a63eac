"""Several processes that ask one database for leases at the same time."""

import json
import subprocess
import sys
from typing import Any


def ask_at_once(url: str, processes: int, sessions: int, how: str = "limited") -> list[dict[str, Any]]:
    """Start processes, let them begin together, and return what each printed."""
    command = [sys.executable, "-m", "tests.support.ledger_process", url]
    running = [
        subprocess.Popen([*command, str(number), str(sessions), how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for number in range(processes)
    ]
    try:
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        outputs = [process.communicate(timeout=200)[0] for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
    return [json.loads(output) for output in outputs]
