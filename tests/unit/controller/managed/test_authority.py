"""The broker's authorities come from a file that changes when they are renewed."""

from pathlib import Path

import pytest
import trustme

from mistral_voice.controller.managed.authority import BrokerAuthority
from mistral_voice.controller.settings import SettingsError
from tests.unit.controller.given import AUTHORITY


def test_without_a_file_the_systems_authorities_count() -> None:
    authority = BrokerAuthority(None, lambda: None)
    authority.look()
    assert authority.pem is None


def test_a_renewal_is_told_once(tmp_path: Path) -> None:
    path, told = tmp_path / "ca.crt", list[str]()
    path.write_text(AUTHORITY)
    authority = BrokerAuthority(path, lambda: told.append("changed"))
    authority.look()
    assert told == []
    path.write_text(trustme.CA().cert_pem.bytes().decode())
    authority.look()
    authority.look()
    assert told == ["changed"]
    assert authority.pem == path.read_text()


@pytest.mark.parametrize("content", [b"", b"nonsense", "ä".encode(), b"x" * 300_000, None])
def test_what_can_not_be_used_leaves_the_last_good_in_force(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ca.crt"
    path.write_text(AUTHORITY)
    authority = BrokerAuthority(path, lambda: pytest.fail("nothing changed"))
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    authority.look()
    assert authority.pem == AUTHORITY


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "can't be read: No such file or directory"),
        (b"nonsense", "holds no certificates"),
        (b"", "holds no certificates"),
        ("ä".encode(), "outside ASCII"),
        (b"x" * 300_000, "is larger than"),
    ],
)
def test_at_the_start_it_must_be_usable(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    path = tmp_path / "ca.crt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=sentence) as refused:
        BrokerAuthority(path, lambda: None)
    assert str(path) in str(refused.value)
