"""How the broker is called."""

import pytest

from mistral_voice.broker.settings import parse

NEEDED = ["--name", "b0", "--advertised-host", "10.0.0.1", "--pool-namespace", "pools", "--control-plane-url", "https://control:8443"]


def test_a_ticket_is_bound_to_its_address_unless_somebody_says_otherwise() -> None:
    assert not parse(NEEDED).any_address
    assert not parse([*NEEDED, "--any-address", "false"]).any_address
    assert parse([*NEEDED, "--any-address", "true"]).any_address


@pytest.mark.parametrize("flag", NEEDED[::2])
def test_what_has_no_default_is_asked_for(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    place = NEEDED.index(flag)
    with pytest.raises(SystemExit):
        parse(NEEDED[:place] + NEEDED[place + 2 :])
    assert flag in capsys.readouterr().err
