"""Ephemeral secrets: a server gives one to a browser, which can then talk for a while and never sees the integration's token.

A secret is `ek_<claims>.<signature>`. It holds what it allows, signed with a key that is derived from the token that asked for it and from
the integration's name: any pod of the integration knows it, no other integration does, and it is void once that token is gone.
"""

import binascii
import hashlib
import hmac
import time
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable

import msgspec
from msgspec import Raw, Struct

from mistral_voice.contract.gateway_config import Integration
from mistral_voice.contract.secret import Secret
from mistral_voice.gateway.client_token import ClientTokens
from mistral_voice.gateway.session.errors import GatewayError

PREFIX = "ek_"
MAX_CHARACTERS = 6000
"""Longest secret: it travels in one HTTP header, of which many proxies take 8 KiB."""
_PURPOSE = b"mistral-voice ephemeral secret 1\0"


class TooMuchToSignError(GatewayError):
    """The session settings don't fit into a secret."""


class Claims(Struct, frozen=True, array_like=True):
    """What a secret allows.

    `secret_id` tells secrets apart, `expires_at` is in seconds since 1970, `session` the JSON of the session object that it was made with.
    `max_duration_seconds` None: as long as the integration allows.
    """

    secret_id: str
    expires_at: int
    session: Raw
    max_duration_seconds: int | None = None


class ClientSecrets:
    """Signs and verifies the ephemeral secrets of one integration. `now` returns seconds since 1970."""

    def __init__(self, tokens: ClientTokens, integration: Integration, now: Callable[[], float] = time.time) -> None:
        self._tokens = tokens
        self._context = _PURPOSE + f"{integration.namespace}/{integration.name}".encode()
        self._now = now

    def issue(self, token: Secret, claims: Claims) -> Secret:
        """Return a secret that lives no longer than this token. Raises TooMuchToSignError if the session is too large for a header."""
        content = _encoded(zlib.compress(msgspec.json.encode(claims), 9))
        signature = _encoded(self._signature(token.reveal().encode(), content))
        value = f"{PREFIX}{content}.{signature}"
        if len(value) > MAX_CHARACTERS:
            raise TooMuchToSignError(
                f"The session is too large for a client secret, which may have {MAX_CHARACTERS} characters and would have {len(value)}: "
                "put long instructions into the integration's `policy.instructions`."
            )
        return Secret(value)

    def verified(self, presented: Secret | None) -> Claims | None:
        """Return what a secret allows; None if it is none, not ours, or has expired."""
        claims = self._signed(presented)
        return claims if claims is not None and self._now() < claims.expires_at else None

    def has_expired(self, presented: Secret) -> bool:
        """Whether this is a secret of ours whose time is over."""
        claims = self._signed(presented)
        return claims is not None and self._now() >= claims.expires_at

    def _signed(self, presented: Secret | None) -> Claims | None:
        if presented is None or not presented.reveal().startswith(PREFIX):
            return None
        content, _, signature = presented.reveal().removeprefix(PREFIX).partition(".")
        given = _decoded(signature)
        matches = [hmac.compare_digest(self._signature(token, content), given) for token in self._tokens.present()]
        if not any(matches):
            return None
        return msgspec.json.decode(zlib.decompress(_decoded(content)), type=Claims)

    def _signature(self, token: bytes, content: str) -> bytes:
        key = hmac.digest(token, self._context, hashlib.sha256)
        return hmac.digest(key, content.encode(errors="replace"), hashlib.sha256)


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return b""
