"""Imports point one way: contract ← runtime ← mistral, kube ← the processes ← cli, and a process never imports another process."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "operator" / "mistral_voice"
PROCESSES = frozenset({"controller", "gateway", "broker", "controlplane", "simulator"})
ALLOWED: dict[str, frozenset[str]] = {
    "contract": frozenset({"contract"}),
    "runtime": frozenset({"contract", "runtime"}),
    "mistral": frozenset({"contract", "runtime", "mistral"}),
    "kube": frozenset({"contract", "runtime", "kube"}),
    **{process: frozenset({"contract", "runtime", "mistral", "kube", process}) for process in PROCESSES},
    "cli": frozenset({"contract", "runtime", "mistral", "kube", "cli"}),
}


def imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write imports in full, so that their direction can be read"
            assert node.module is not None
            yield node.lineno, node.module
            if node.module == "mistral_voice":
                yield from ((node.lineno, f"mistral_voice.{alias.name}") for alias in node.names)


def forbidden_imports(package: str) -> list[str]:
    return [
        f"{path.relative_to(ROOT.parent)}:{line} imports {module}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for line, module in imports(path)
        if module.startswith("mistral_voice.") and module.split(".")[1] not in ALLOWED[package]
    ]


@pytest.mark.parametrize("package", sorted(path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()))
def test_imports_point_one_way(package: str) -> None:
    assert package in ALLOWED, f"{package} has no place in the order of imports yet: give it one in this test"
    assert forbidden_imports(package) == []


def test_no_module_is_longer_than_a_reader_can_hold() -> None:
    long = {str(path.relative_to(ROOT)): n for path in ROOT.rglob("*.py") if (n := len(path.read_text().splitlines())) > 400}
    assert long == {}, "split these by concept"


def test_checks_and_builders_stand_in_one_order() -> None:
    """A check asks how a child would be built; no builder asks a check."""
    found = [
        module
        for path in sorted((ROOT / "controller" / "build").rglob("*.py"))
        for _, module in imports(path)
        if module.startswith("mistral_voice.controller.check")
    ]
    assert found == []
