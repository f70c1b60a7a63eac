"""The simulated Mistral's credentials: keys that it accepts, and a certificate from an authority that the integration is told of."""

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trustme

from tests.cluster.cache import digest
from tests.demo.place import MISTRAL

HOST: Final = f"simulator.{MISTRAL}.svc.cluster.local"
URL: Final = f"https://{HOST}"
KEYS: Final = ("first-key", "second-key")
_FILES: Final = ("ca.crt", "tls.crt", "tls.key", "keys.json", *KEYS)


@dataclass(frozen=True)
class Credentials:
    """Files in one folder: `ca.crt`, `tls.crt`, `tls.key`, and the keys, `first-key` and `second-key`, in `keys.json` once more."""

    folder: Path

    @property
    def ca_bundle(self) -> str:
        """The authority's certificate, as PEM."""
        return (self.folder / "ca.crt").read_text()

    @property
    def digest(self) -> str:
        """A word that is another when any of the files is."""
        return digest(*(self.folder / name for name in _FILES))


def credentials(folder: Path) -> Credentials:
    """Return what an earlier run made in `folder`, else make it."""
    if not all((folder / name).exists() for name in _FILES):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        authority = trustme.CA()
        certificate = authority.issue_cert(HOST)
        authority.cert_pem.write_to_path(str(folder / "ca.crt"))
        certificate.cert_chain_pems[0].write_to_path(str(folder / "tls.crt"))
        certificate.private_key_pem.write_to_path(str(folder / "tls.key"))
        keys = {name: secrets.token_urlsafe(24) for name in KEYS}
        for name, value in keys.items():
            (folder / name).write_text(value)
        (folder / "keys.json").write_text(json.dumps([{"id": name, "value": value} for name, value in keys.items()]))
    return Credentials(folder)
