"""Which authorities are trusted, while their file changes."""

import ssl
from pathlib import Path

import pytest
import trustme

from mistral_voice.runtime.certificate import TrustedAuthorities


def trusted(authorities: TrustedAuthorities) -> list[bytes]:
    return authorities.context.get_ca_certs(binary_form=True)


def der(authority: trustme.CA) -> bytes:
    return ssl.PEM_cert_to_DER_cert(authority.cert_pem.bytes().decode())


def replace(file: Path, content: bytes) -> None:
    """As kubelet does: another file takes the name."""
    new = file.with_suffix(".new")
    new.write_bytes(content)
    new.replace(file)


def test_other_authorities_take_the_place_of_the_former(tmp_path: Path) -> None:
    first, second = trustme.CA(), trustme.CA()
    file = tmp_path / "ca.crt"
    file.write_bytes(first.cert_pem.bytes())
    authorities = TrustedAuthorities(file)
    context = authorities.context
    authorities.refresh()
    assert authorities.context is context
    replace(file, second.cert_pem.bytes())
    authorities.refresh()
    assert trusted(authorities) == [der(second)]
    assert authorities.context.verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize("content", [b"", b"no certificate", b"\xff", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_leaves_the_last_good_ones_in_force(tmp_path: Path, content: bytes) -> None:
    first = trustme.CA()
    file = tmp_path / "ca.crt"
    file.write_bytes(first.cert_pem.bytes())
    authorities = TrustedAuthorities(file)
    replace(file, content)
    authorities.refresh()
    file.unlink()
    authorities.refresh()
    assert trusted(authorities) == [der(first)]


def test_a_file_that_is_not_there_at_the_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        TrustedAuthorities(tmp_path / "ca.crt")
