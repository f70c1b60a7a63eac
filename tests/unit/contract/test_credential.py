"""What an API key may look like."""

import pytest
from hypothesis import given as generated
from hypothesis import strategies as st

from mistral_voice.contract.credential import MAX_KEY_BYTES, CredentialError, CredentialFault, parse_api_key

WHITE_SPACE = st.text(alphabet=" \t\r\n\v\f", max_size=5)
PRINTABLE = st.text(alphabet=[chr(code) for code in range(0x21, 0x7F)], min_size=1, max_size=100)


@generated(WHITE_SPACE, PRINTABLE, WHITE_SPACE)
def test_surrounding_white_space_is_taken_off_and_told(before: str, key: str, after: str) -> None:
    parsed = parse_api_key(f"{before}{key}{after}".encode())
    assert parsed.secret.reveal() == key
    assert parsed.trimmed == bool(before or after)


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b"", CredentialFault.EMPTY),
        (b" ", CredentialFault.BLANK),
        (b"\r\n\t\v\f ", CredentialFault.BLANK),
        ("clé".encode(), CredentialFault.NOT_ASCII),
        (b"\xff\xfe", CredentialFault.NOT_ASCII),
        (b"\xef\xbb\xbfkey", CredentialFault.NOT_ASCII),
        ("key\u00a0".encode(), CredentialFault.NOT_ASCII),
        (b"a\nb", CredentialFault.CONTROL_CHARACTERS),
        (b"a\r\nX-Header: b", CredentialFault.CONTROL_CHARACTERS),
        (b"a\x00b", CredentialFault.CONTROL_CHARACTERS),
        (b"a\x7fb", CredentialFault.CONTROL_CHARACTERS),
        (b"a\tb", CredentialFault.CONTROL_CHARACTERS),
        (b"a b", CredentialFault.INNER_SPACE),
        (b"a" * (MAX_KEY_BYTES + 1), CredentialFault.TOO_LONG),
    ],
)
def test_what_is_no_key_has_its_fault(raw: bytes, fault: CredentialFault) -> None:
    with pytest.raises(CredentialError) as caught:
        parse_api_key(raw)
    assert caught.value.fault is fault


def test_longest_key_is_taken() -> None:
    assert len(parse_api_key(b"a" * MAX_KEY_BYTES).secret.reveal()) == MAX_KEY_BYTES


def accepted(raw: bytes) -> str | CredentialError:
    try:
        return parse_api_key(raw).secret.reveal()
    except CredentialError as error:
        return error


@generated(st.binary(max_size=60))
def test_whatever_is_accepted_can_travel_in_a_header_and_whatever_is_not_is_never_quoted(raw: bytes) -> None:
    key = accepted(raw)
    if isinstance(key, str):
        assert key.isascii()
        assert key.isprintable()
        assert " " not in key
    elif len(raw) > 8:
        assert raw.decode("latin-1") not in str(key)
