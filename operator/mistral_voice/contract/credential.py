"""What an API key may look like: one rule, used by the operator's probe and by the gateway alike."""

from dataclasses import dataclass
from enum import StrEnum

from mistral_voice.contract.secret import Secret

MAX_KEY_BYTES = 4096
"""Longer values are no API keys; the bound keeps a wrong file from ending up in a header."""


class CredentialFault(StrEnum):
    """Why a value can't be an API key."""

    EMPTY = "Empty"
    BLANK = "Blank"
    NOT_ASCII = "NotASCII"
    CONTROL_CHARACTERS = "ControlCharacters"
    INNER_SPACE = "InnerSpace"
    TOO_LONG = "TooLong"


_SENTENCES = {
    CredentialFault.EMPTY: "it is empty",
    CredentialFault.BLANK: "it holds only white space",
    CredentialFault.NOT_ASCII: "it holds characters outside ASCII",
    CredentialFault.CONTROL_CHARACTERS: "it holds control characters, such as a line break in the middle",
    CredentialFault.INNER_SPACE: "it holds white space in the middle",
    CredentialFault.TOO_LONG: f"it is longer than {MAX_KEY_BYTES} bytes",
}


class CredentialError(ValueError):
    """A value that can't be an API key. The text says why and never quotes the value."""

    def __init__(self, fault: CredentialFault) -> None:
        super().__init__(f"The value can't be an API key: {_SENTENCES[fault]}.")
        self.fault = fault


@dataclass(frozen=True)
class ApiKey:
    """A well-formed API key. `trimmed` tells that white space around it was removed, which deserves a warning."""

    secret: Secret
    trimmed: bool


def parse_api_key(raw: bytes) -> ApiKey:
    """Return the API key in a Secret's value or a mounted file, with surrounding ASCII white space removed.

    Raises CredentialError if what remains is empty, longer than `MAX_KEY_BYTES`, or not printable ASCII without spaces (it has to travel in
    an HTTP header).
    """
    if not raw:
        raise CredentialError(CredentialFault.EMPTY)
    value = raw.strip(b" \t\r\n\v\f")
    if not value:
        raise CredentialError(CredentialFault.BLANK)
    if len(value) > MAX_KEY_BYTES:
        raise CredentialError(CredentialFault.TOO_LONG)
    if any(byte > 0x7E for byte in value):
        fault = (
            CredentialFault.CONTROL_CHARACTERS if 0x7F in value and not any(byte > 0x7F for byte in value) else CredentialFault.NOT_ASCII
        )
        raise CredentialError(fault)
    if any(byte < 0x20 for byte in value):
        raise CredentialError(CredentialFault.CONTROL_CHARACTERS)
    if b" " in value:
        raise CredentialError(CredentialFault.INNER_SPACE)
    return ApiKey(Secret(value.decode("ascii")), trimmed=len(value) != len(raw))
