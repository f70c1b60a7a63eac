"""Kubernetes' resource quantities, such as `100m` and `192Mi`, as numbers.

Source: k8s.io/apimachinery/pkg/api/resource.
"""

from decimal import Decimal
from typing import Final

_SUFFIXES: Final = {
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
    "m": Decimal("0.001"),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
}


def parse_quantity(value: str | int) -> Decimal:
    """Return the amount of a quantity. Raises ValueError if it is none; exponents such as `1e3` are not taken."""
    text = str(value)
    suffix = next((suffix for suffix in _SUFFIXES if text.endswith(suffix)), "")
    number = text.removesuffix(suffix)
    if not number or not number.isascii() or not number.removeprefix("-").replace(".", "", 1).isdigit():
        raise ValueError("not a quantity: write a number with a suffix such as m, k, M, G, Ki, Mi or Gi")
    return Decimal(number) * _SUFFIXES.get(suffix, Decimal(1))
