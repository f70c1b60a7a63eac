import re
from pathlib import Path

import pytest

from mistral_voice.cli.main import main
from mistral_voice.controlplane.store.backups import backups_in
from tests.support.ledger import a_report, a_request, ledger_at, sqlite_url


async def test_the_commands_back_a_ledger_up_and_restore_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    backups, url = tmp_path / "backups", sqlite_url(tmp_path)
    backups.mkdir()
    async with ledger_at(url) as world:
        await world.ledger.admit(a_request())
        await world.ledger.renew(a_report(seconds=3))
        assert main(["control-plane", "backup", str(backups), "--database-url", url]) == 0
        assert main(["control-plane", "restore", str(backups), "--database-url", url, "--force"]) == 1
    assert len(backups_in(backups)) == 1
    (tmp_path / "ledger.db").unlink()
    assert main(["control-plane", "restore", str(backups), "--database-url", url]) == 0
    said = capsys.readouterr()
    assert "stop the control plane first" in said.err
    assert "was backed up to" in said.out
    async with ledger_at(url) as world:
        assert await world.used() == (3000, 0)


@pytest.mark.parametrize(
    ("url", "sentence"), [("postgresql://u:hunter2@host/db", "pg_dump"), ("sqlite:////missing/ledger.db", "There is no|can't be used")]
)
def test_what_cannot_be_copied_is_said_without_a_password(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], url: str, sentence: str
) -> None:
    assert main(["control-plane", "backup", str(tmp_path / "copy.db"), "--database-url", url]) == 1
    said = capsys.readouterr().err
    assert re.search(sentence, said)
    assert "hunter2" not in said
