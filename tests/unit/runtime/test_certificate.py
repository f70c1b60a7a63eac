"""Which certificate is served and which authorities are trusted, while their files change."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from prometheus_client import CollectorRegistry

from mistral_voice.runtime.certificate import ServedCertificate, TrustedAuthorities
from mistral_voice.runtime.certificate_expiry import certificates_in, expiries, tell_expiries


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


SOON, LATER = datetime(2040, 1, 1, tzinfo=UTC), datetime(2050, 1, 1, tzinfo=UTC)


def serve(directory: Path, authority: trustme.CA, until: datetime) -> None:
    """Put what a Secret of a certificate holds into `directory`."""
    issued = authority.issue_cert("broker.example", not_after=until)
    replace(directory / "tls.key", issued.private_key_pem.bytes())
    replace(directory / "tls.crt", b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    replace(directory / "ca.crt", authority.cert_pem.bytes())


def told(registry: CollectorRegistry, certificate: str) -> float | None:
    return registry.get_sample_value("a_process_certificate_expiry_timestamp_seconds", {"certificate": certificate})


def test_a_process_tells_when_its_certificate_expires_and_the_authority_that_signed_it(tmp_path: Path) -> None:
    authority, registry = trustme.CA(), CollectorRegistry()
    serve(tmp_path, authority, SOON)
    served = ServedCertificate(tmp_path)
    tell_expiries("a_process", registry, lambda: served.expiries)
    assert told(registry, "serving") == SOON.timestamp()
    [certificate] = certificates_in(authority.cert_pem.bytes())
    assert told(registry, "authority") == certificate.not_valid_after_utc.timestamp()
    serve(tmp_path, authority, LATER)
    served.refresh()
    assert told(registry, "serving") == LATER.timestamp()


def test_a_pair_that_does_not_fit_leaves_the_expiry_of_what_is_in_force(tmp_path: Path) -> None:
    serve(tmp_path, trustme.CA(), SOON)
    served = ServedCertificate(tmp_path)
    other = trustme.CA().issue_cert("broker.example", not_after=LATER)
    replace(tmp_path / "tls.crt", other.cert_chain_pems[0].bytes())
    served.refresh()
    assert served.expiries["serving"] == SOON.timestamp()


def test_of_a_chain_the_first_to_expire_counts_and_of_authorities_only_the_one_that_signed() -> None:
    root, other = trustme.CA(), trustme.CA()
    between = root.create_child_ca()
    issued = between.issue_cert("broker.example", not_after=LATER)
    chain = [*certificates_in(issued.cert_chain_pems[0].bytes()), *certificates_in(between.cert_pem.bytes())]
    assert expiries(chain, certificates_in(other.cert_pem.bytes())) == {
        "serving": min(certificate.not_valid_after_utc.timestamp() for certificate in chain)
    }
    assert "authority" in expiries(chain, certificates_in(other.cert_pem.bytes() + root.cert_pem.bytes()))


@pytest.mark.parametrize("content", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_an_authority_that_cannot_be_read_is_not_told_of_and_nothing_suffers(tmp_path: Path, content: bytes) -> None:
    serve(tmp_path, trustme.CA(), SOON)
    (tmp_path / "ca.crt").write_bytes(content)
    assert ServedCertificate(tmp_path).expiries == {"serving": SOON.timestamp()}
