"""The credential for Mistral: a file that is read again when it changes, so that each new connection uses the newest key."""

import logging
from pathlib import Path

from mistral_voice.contract.credential import CredentialError, parse_api_key
from mistral_voice.contract.secret import Secret
from mistral_voice.mistral.stream.errors import FaultKind, StreamError
from mistral_voice.runtime.redaction import Redactor
from mistral_voice.runtime.watched_file import WatchedFile

_log = logging.getLogger(__name__)


class Credential:
    """The key of the moment. A file that is gone or became useless leaves the last good key in force."""

    def __init__(self, path: Path, redactor: Redactor) -> None:
        self._file = WatchedFile(path)
        self._redactor = redactor
        self._raw: bytes | None = None
        self._key: Secret | None = None

    def missing_because(self) -> str | None:
        """Return why there is no usable credential file at present, None if there is one."""
        raw = self._file.read()
        if raw is None:
            return "The credential file is missing."
        self._take(raw)
        return None if self._key is not None else "The credential file holds no usable key."

    def key(self) -> Secret:
        """Return the key. Raises StreamError if there never was a usable one."""
        raw = self._file.read()
        if raw is not None:
            self._take(raw)
        if self._key is None:
            raise StreamError(FaultKind.NO_CREDENTIAL, "The integration has no usable credential for Mistral.")
        return self._key

    def _take(self, raw: bytes) -> None:
        if raw == self._raw:
            return
        self._raw = raw
        try:
            key = parse_api_key(raw)
        except CredentialError as error:
            _log.warning("The credential file was changed, but not used: %s", error)
            return
        _log.info("The credential was %s.", "loaded" if self._key is None else "replaced: new connections use it")
        self._redactor.know("credential", [key.secret, *([self._key] if self._key else [])])
        self._key = key.secret
