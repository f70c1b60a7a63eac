"""The certificate authorities of the broker: a mounted file that changes when they are renewed."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from mistral_voice.controller.settings import SettingsError, certificates

POLL_SECONDS = 10.0
_LARGEST_BYTES = 262_144
"""It goes into every gateway's ConfigMap."""

_log = logging.getLogger(__name__)


class BrokerAuthority:
    """The file's last good content. `on_change` is told when it is another."""

    def __init__(self, path: Path | None, on_change: Callable[[], None], poll_seconds: float = POLL_SECONDS) -> None:
        """Read the file. Raises SettingsError if it can't be used."""
        self._path = path
        self._on_change = on_change
        self._poll_seconds = poll_seconds
        self.pem: str | None = None if path is None else read_authorities(path)

    async def run(self) -> None:
        """Look at the file from time to time, for ever; cancel it."""
        while self._path is not None:
            await asyncio.sleep(self._poll_seconds)
            self.look()

    def look(self) -> None:
        """Read the file again. What can't be used leaves the last good content in force."""
        if self._path is None:
            return
        try:
            pem = read_authorities(self._path)
        except SettingsError as error:
            _log.warning("The broker's authorities stay as they were: %s", error)
            return
        if pem != self.pem:
            _log.info("The broker's authorities changed.")
            self.pem = pem
            self._on_change()


def read_authorities(path: Path) -> str:
    """Return the PEM text of a file. Raises SettingsError that says what is wrong with it."""
    try:
        text = path.read_bytes()[: _LARGEST_BYTES + 1].decode("ascii")
    except OSError as error:
        raise SettingsError(f"managedMode.broker.caBundleFile: {path} can't be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"managedMode.broker.caBundleFile: {path} has characters outside ASCII.") from error
    if len(text) > _LARGEST_BYTES:
        raise SettingsError(f"managedMode.broker.caBundleFile: {path} is larger than {_LARGEST_BYTES} bytes.")
    if not text.strip():
        raise SettingsError(f"managedMode.broker.caBundleFile: {path} holds no certificates: it is empty.")
    try:
        return certificates(text)
    except ValueError as error:
        raise SettingsError(f"managedMode.broker.caBundleFile: {path}: {error}.") from error
