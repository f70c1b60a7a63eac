"""Tickets: what a gateway shows for each call of a session. A JWT signed by this process's own key, which nobody else ever has."""

import base64
import binascii
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from mistral_voice.contract.secret import Secret

TICKET_SECONDS: Final = 120
"""A ticket is good for so long."""
SKEW_SECONDS: Final = 5
"""This clock may have been set back by so much since a ticket was made."""
LONGEST_TICKET: Final = 2048

_HEADER: Final = b'{"alg":"EdDSA","typ":"JWT"}'


class Claims(Struct, frozen=True):
    """Whose a ticket is: the session line it was given on, its integration, pod, session and epoch. Times in Unix seconds."""

    line: str
    namespace: str
    integration: str
    integration_uid: str
    pod: str
    pod_uid: str
    session: str
    epoch: int
    iat: int
    exp: int


class TicketError(ValueError):
    """A ticket that is not taken; the text says why and quotes nothing of it."""


class Tickets:
    """Makes and checks tickets. The key is made here and leaves the process never, so a ticket is worthless at any other broker."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        self._public = self._key.public_key()
        self._head = _encoded(_HEADER)

    def issue(self, claims: Claims) -> Secret:
        """Return the ticket."""
        signed = self._head + b"." + _encoded(msgspec.json.encode(claims))
        return Secret((signed + b"." + _encoded(self._key.sign(signed))).decode())

    def check(self, ticket: str, now: float) -> Claims:
        """Return what a ticket says. Raises TicketError unless it is ours and of now; who presents it is for the caller to look at."""
        if len(ticket) > LONGEST_TICKET or not ticket.isascii():
            raise TicketError("The ticket is none.")
        signed, dot, signature = ticket.encode().rpartition(b".")
        head, _, body = signed.partition(b".")
        # Only one header is ever ours: no other algorithm is so much as looked at.
        if not dot or head != self._head:
            raise TicketError("The ticket is none.")
        try:
            self._public.verify(_decoded(signature), signed)
            claims = msgspec.json.decode(_decoded(body), type=Claims)
        except (InvalidSignature, msgspec.DecodeError, binascii.Error, ValueError):
            raise TicketError("The ticket was not made by this broker.") from None
        if now >= claims.exp:
            raise TicketError("The ticket has expired.")
        if claims.iat > now + SKEW_SECONDS or claims.exp - claims.iat > TICKET_SECONDS:
            raise TicketError("The ticket is not of this time.")
        return claims


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _decoded(data: bytes) -> bytes:
    return base64.b64decode(data + b"=" * (-len(data) % 4), altchars=b"-_", validate=True)
