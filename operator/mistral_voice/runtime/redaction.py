"""The last net under the rule that no secret reaches a log: known values are struck out of any text."""

import re
from collections.abc import Iterable

from mistral_voice.contract.secret import Secret

STRUCK_OUT = "[redacted]"
_SHORTEST = 6
_PRESENTED = re.compile(
    r"""(\bBearer[ ]+|openai-insecure-api-key\.)[^\s"'\\,;]+ | (?<![A-Za-z0-9])(ek_)[\w.-]{6,}""",
    re.IGNORECASE | re.VERBOSE,
)
"""Secrets as a client presents them, be they ours or not; they end before what would end a string of JSON or a literal of Python."""


class Redactor:
    """Knows the secrets that this process holds at present and strikes them out of texts.

    What looks like a secret that a client presents is struck out too. Values shorter than six characters are not sought:
    striking them out would garble ordinary words.
    """

    def __init__(self) -> None:
        self._values: dict[str, tuple[str, ...]] = {}

    def know(self, owner: str, secrets: Iterable[Secret]) -> None:
        """Replace what is known of `owner` (a file, a Secret's name) by these secrets; an empty set forgets it."""
        values = tuple(value for value in (secret.reveal() for secret in secrets) if len(value) >= _SHORTEST)
        if values:
            self._values[owner] = values
        else:
            self._values.pop(owner, None)

    def redact(self, text: str) -> str:
        """Return the text with every known secret struck out, and with all that is presented as one."""
        for values in self._values.values():
            for value in values:
                if value in text:
                    text = text.replace(value, STRUCK_OUT)
        return _PRESENTED.sub(lambda found: (found[1] or found[2]) + STRUCK_OUT, text)
