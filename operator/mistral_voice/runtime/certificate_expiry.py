"""When a certificate that is served expires, and the authority that signed it: what nobody renews ends every connection on one day."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

_log = logging.getLogger(__name__)


def certificates_in(pem: bytes) -> Sequence[x509.Certificate]:
    """Return the certificates of a PEM file; none if it can't be read, which is logged."""
    if not pem:
        return ()
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        _log.warning("When a certificate expires can't be told, it can't be read: %s", error)
        return ()


def expiries(chain: Sequence[x509.Certificate], authorities: Sequence[x509.Certificate]) -> Mapping[str, float]:
    """Return as Unix time when the first of `chain` expires (`serving`), and its `authority`, if that is among `authorities`.

    Of several that could have signed the chain's last certificate the one that lasts longest counts: clients need but one.
    """
    if not chain:
        return {}
    told = {"serving": min(_end(certificate) for certificate in chain)}
    signers = [_end(authority) for authority in authorities if _signed(chain[-1], authority)]
    if signers:
        told["authority"] = max(signers)
    return told


def tell_expiries(prefix: str, registry: CollectorRegistry, current: Callable[[], Mapping[str, float]]) -> None:
    """Export `<prefix>_certificate_expiry_timestamp_seconds` by `certificate`: serving, authority."""
    registry.register(_Expiries(f"{prefix}_certificate_expiry_timestamp_seconds", current))


class _Expiries(Collector):
    def __init__(self, name: str, current: Callable[[], Mapping[str, float]]) -> None:
        self._name = name
        self._current = current

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(self._name, "When the certificate in force expires, and its authority.", labels=["certificate"])
        for certificate, end in self._current().items():
            family.add_metric([certificate], end)
        yield family


def _end(certificate: x509.Certificate) -> float:
    return certificate.not_valid_after_utc.timestamp()


def _signed(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
