"""Each complaint that the docs answer names the tests that hold the answer."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_TEST = re.compile(r"`(?P<file>tests/[\w/]+\.py)::(?P<name>\w+)`")


def test_every_complaint_is_answered_by_tests_that_exist() -> None:
    complaints, _, _ = (ROOT / "docs" / "complaints.md").read_text().partition("\n## Figures\n")
    rows = [line for line in complaints.splitlines() if line.startswith("| ") and "| Test |" not in line]
    assert rows
    for row in rows:
        named = _TEST.findall(row)
        assert named, f"no test is named: {row}"
        for file, name in named:
            defined = re.search(rf"^(async def|def) {name}\(|^{name} = ", (ROOT / file).read_text(), re.MULTILINE)
            assert defined, f"{file} has no {name}: {row}"
