"""The tables of docs/conditions.md, read as a reader does."""

import re
from pathlib import Path

from mistral_voice.controller.reasons import Reason

DOCUMENT = Path(__file__).parents[3] / "docs" / "conditions.md"
_SECTION = re.compile(r"^## (\w+)$", re.MULTILINE)
_STUCK = {
    "ImagePullFailed",
    "CrashLoop",
    "ContainerConfigError",
    "Unschedulable",
    "QuotaExceeded",
    "AdmissionDenied",
    "PodsNotCreated",
    "NotReadyInTime",
}


def documented_reasons() -> dict[str, dict[str, set[str]]]:
    """Return the reasons of each condition by its status."""
    _, *parts = _SECTION.split(DOCUMENT.read_text())
    tables: dict[str, dict[str, set[str]]] = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        table = tables[name] = dict[str, set[str]]()
        for line in body.splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if not line.startswith("| ") or cells[0] in ("Status", "---"):
                continue
            for status in cells[0].split(", "):
                table.setdefault(status, set()).update(_reasons(cells[1], tables))
    return tables


def _reasons(cell: str, tables: dict[str, dict[str, set[str]]]) -> set[str]:
    match cell:
        case "any of the above":
            return {str(reason) for reason in Reason}
        case "any stuck roll-out of GatewayAvailable":
            return _STUCK
        case _ if cell.startswith("any False of "):
            return tables[cell.removeprefix("any False of ")]["False"]
        case _ if cell.startswith("any of "):
            table = tables[cell.removeprefix("any of ")]
            return table["False"] | table["Unknown"]
        case _:
            return set(re.findall(r"`(\w+)`", cell))
