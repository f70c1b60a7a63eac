"""What a process uses, as the kernel counts it."""

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """CPU time so far, and resident memory now and at its highest."""

    cpu_seconds: float
    resident_megabytes: float
    peak_megabytes: float


def usage(pid: int) -> Usage:
    """Return what a running process has used."""
    folder = Path("/proc") / str(pid)
    fields = (folder / "stat").read_text().rsplit(") ", 1)[1].split()
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    return Usage((int(fields[11]) + int(fields[12])) / _TICKS, _megabytes(status["VmRSS"]), _megabytes(status["VmHWM"]))


def _megabytes(text: str) -> float:
    return int(text.split(maxsplit=1)[0]) * 1024 / 1e6
