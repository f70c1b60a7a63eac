"""The certificate that a server shows, and the authorities that a client trusts: files that are loaded again when they change."""

import logging
import ssl
from collections.abc import Mapping
from pathlib import Path

from mistral_voice.runtime.certificate_expiry import certificates_in, expiries
from mistral_voice.runtime.watched_file import WatchedFile

TLS_CERTIFICATE = "tls.crt"
TLS_KEY = "tls.key"
TLS_AUTHORITY = "ca.crt"

_log = logging.getLogger(__name__)


class ServedCertificate:
    """The certificate of a port; new connections get the newest. Raises OSError if there is none to begin with.

    `expiries` tells when the one in force expires, and when the authority does that signed it, if that lies beside it; both as Unix time.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._files = tuple(WatchedFile(directory / name) for name in (TLS_CERTIFICATE, TLS_KEY, TLS_AUTHORITY))
        self._seen = self._contents()
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_cert_chain(directory / TLS_CERTIFICATE, directory / TLS_KEY)
        self.expiries = self._expiries()

    def refresh(self) -> None:
        """Load the files again if they have changed; a pair that doesn't fit leaves the last good one in force."""
        contents = self._contents()
        if contents == self._seen:
            return
        self._seen = contents
        try:
            self.context.load_cert_chain(self._directory / TLS_CERTIFICATE, self._directory / TLS_KEY)
        except OSError as error:
            _log.warning("The new TLS certificate can't be used, the former one stays in force: %s", error)
        else:
            self.expiries = self._expiries()
            _log.info("The TLS certificate was replaced.")

    def _expiries(self) -> Mapping[str, float]:
        chain, _, authorities = self._seen
        return expiries(certificates_in(chain or b""), certificates_in(authorities or b""))

    def _contents(self) -> tuple[bytes | None, ...]:
        return tuple(file.read() for file in self._files)


class TrustedAuthorities:
    """What a client trusts: the authorities in a PEM file, or the system's if there is none. Raises OSError if the file can't be used."""

    def __init__(self, file: Path | None) -> None:
        self._file = WatchedFile(file) if file is not None else None
        self._seen = self._file.read() if self._file is not None else None
        self.context = ssl.create_default_context(cafile=file)

    def refresh(self) -> None:
        """Read the file again if it has changed: then `context` is another, of the new authorities alone.

        A file that is gone or holds no certificate leaves the last good one in force.
        """
        content = self._file.read() if self._file is not None else None
        if not content or content == self._seen:
            return
        self._seen = content
        try:
            self.context = ssl.create_default_context(cadata=content.decode("ascii"))
        except (OSError, ValueError) as error:
            _log.warning("The new certificate authorities can't be used, the former ones stay in force: %s", error)
        else:
            _log.info("The certificate authorities were replaced.")
