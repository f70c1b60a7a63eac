"""Who may talk to the gateway: those who hold the integration's token, or its predecessor while that overlaps."""

import hmac
from collections.abc import Iterable
from pathlib import Path

from mistral_voice.contract.secret import Secret
from mistral_voice.runtime.redaction import Redactor
from mistral_voice.runtime.watched_file import WatchedFile

TOKEN = "token"  # noqa: S105 - a file's name
PREVIOUS_TOKEN = "previousToken"  # noqa: S105 - a file's name
REALTIME_PROTOCOL = "realtime"
KEY_PROTOCOL = "openai-insecure-api-key."
"""A browser can't send headers; it offers its key as a subprotocol that begins so."""


class ClientTokens:
    """The tokens in a directory, read again when they change."""

    def __init__(self, directory: Path, redactor: Redactor) -> None:
        self._files = (WatchedFile(directory / TOKEN), WatchedFile(directory / PREVIOUS_TOKEN))
        self._redactor = redactor
        self._known: list[bytes] = []

    def accepts(self, presented: Secret | None) -> bool:
        """Return whether this is one of the tokens. The time it takes tells nothing about them."""
        tokens = self.present()
        value = b"" if presented is None else presented.reveal().encode(errors="replace")
        matches = [hmac.compare_digest(value, token) for token in tokens]
        return bool(value) and any(matches)

    def present(self) -> list[bytes]:
        """Return the tokens of the moment, the newest first."""
        tokens = [token for file in self._files if (token := (file.read() or b"").strip())]
        if tokens != self._known:
            self._known = tokens
            self._redactor.know("client-token", [Secret(token.decode(errors="replace")) for token in tokens])
        return tokens


def presented_token(authorization: str | None, protocols: Iterable[str]) -> Secret | None:
    """Return the token that a request bears, in its `Authorization` header or among its subprotocols."""
    if authorization is not None:
        scheme, _, value = authorization.partition(" ")
        return Secret(value.strip()) if scheme.lower() == "bearer" and value.strip() else None
    for protocol in protocols:
        if protocol.startswith(KEY_PROTOCOL):
            return Secret(protocol.removeprefix(KEY_PROTOCOL))
    return None
