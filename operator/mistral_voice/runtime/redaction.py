"""The last net under the rule that no secret reaches a log: known values are struck out of any text."""

from collections.abc import Iterable

from mistral_voice.contract.secret import Secret

STRUCK_OUT = "[redacted]"
_SHORTEST = 6


class Redactor:
    """Knows the secrets that this process holds at present and strikes them out of texts.

    Values shorter than six characters are not sought: striking them out would garble ordinary words.
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
        """Return the text with every known secret struck out."""
        for values in self._values.values():
            for value in values:
                if value in text:
                    text = text.replace(value, STRUCK_OUT)
        return text
