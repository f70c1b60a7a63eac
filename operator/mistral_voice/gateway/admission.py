"""Who is let in: the integration's token for servers, an ephemeral secret for browsers, and from which pages."""

from collections.abc import Sequence
from enum import StrEnum
from urllib.parse import urlsplit

import msgspec
from aiohttp import hdrs, web
from msgspec import Struct, structs

from mistral_voice.contract.gateway_config import Policy
from mistral_voice.contract.secret import Secret
from mistral_voice.gateway.client_secret import PREFIX, Claims, ClientSecrets
from mistral_voice.gateway.client_token import ClientTokens, presented_token
from mistral_voice.gateway.protocol.session_object import WireSession, patch_of
from mistral_voice.gateway.session.errors import GatewayError, Refused
from mistral_voice.gateway.session.policy import SessionPolicy
from mistral_voice.gateway.signposts import CLIENT_SECRETS

_BEARER = {"WWW-Authenticate": "Bearer"}
_ASK_AGAIN = f"Have your server ask for a new one, by POST {CLIENT_SECRETS} with the integration's token."


class Reason(StrEnum):
    """Why somebody was turned away: the label of the metric."""

    UNAUTHORIZED = "unauthorized"
    ORIGIN = "origin"
    DRAINING = "draining"
    UPGRADE = "upgrade"
    LIMIT = "limit"
    MODEL = "model"
    PLAN = "plan"


class TurnedAway(GatewayError):
    """A request that is not let in, and what its sender is told."""

    def __init__(self, reason: Reason, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers


class Admission(Struct, frozen=True):
    """Somebody who is let in: what their session may be, and the id of their ephemeral secret, None for the bearer of the token."""

    policy: SessionPolicy
    secret_id: str | None = None


class Doorkeeper:
    """Knows tokens, secrets and the pages that may use them. `policy` is what the bearer of the token may do."""

    def __init__(self, tokens: ClientTokens, secrets: ClientSecrets, policy: SessionPolicy, pages: Policy) -> None:
        self._tokens = tokens
        self._secrets = secrets
        self.policy = policy
        self._origins = frozenset(origin.lower() for origin in pages.allowed_origins)
        self.serves_playground = pages.playground

    def server_token(self, request: web.Request) -> Secret:
        """Return the integration's token that a request bears. Raises TurnedAway if it bears none."""
        presented = presented_token(request.headers.get(hdrs.AUTHORIZATION), ())
        if presented is None or not self._tokens.accepts(presented):
            message = (
                "This takes the integration's token, as `Authorization: Bearer …`, and the one in force; an ephemeral secret is not enough."
            )
            raise TurnedAway(Reason.UNAUTHORIZED, 401, "invalid_api_key", message, _BEARER)
        return presented

    def admit(self, request: web.Request) -> Admission:
        """Return what the sender of this handshake may do. Raises TurnedAway if it is not let in."""
        presented = presented_token(request.headers.get(hdrs.AUTHORIZATION), offered_protocols(request))
        if self._tokens.accepts(presented):
            return Admission(self.policy)
        claims = self._secrets.verified(presented)
        if claims is None:
            raise TurnedAway(Reason.UNAUTHORIZED, 401, "invalid_api_key", self._why_not(presented), _BEARER)
        self._check_origin(request)
        return Admission(self.policy_for(claims), claims.secret_id)

    def _why_not(self, presented: Secret | None) -> str:
        if presented is None:
            return "There is no token. Send the integration's token, or a client secret, as `Authorization: Bearer …`."
        if not presented.reveal().startswith(PREFIX):
            return "The token is wrong, or was replaced. Send the integration's token, or a client secret, as `Authorization: Bearer …`."
        if self._secrets.has_expired(presented):
            return f"This client secret has expired. {_ASK_AGAIN}"
        return (
            "This client secret is none of this integration's: it is incomplete, another's, or was made with a token that is "
            f"no longer accepted. {_ASK_AGAIN}"
        )

    def policy_for(self, claims: Claims) -> SessionPolicy:
        """Return what the holder of a secret may do. Raises Refused if the integration doesn't offer what the secret names."""
        return bound_policy(self.policy, claims.session, claims.max_duration_seconds)

    def _check_origin(self, request: web.Request) -> None:
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None or origin.lower() in self._origins or (self.serves_playground and _is_same_origin(origin, request.host)):
            return
        message = f"Pages of {origin[:200]!r} may not use this integration; its `policy.allowedOrigins` doesn't list them."
        raise TurnedAway(Reason.ORIGIN, 403, "origin_not_allowed", message)


def offered_protocols(request: web.Request) -> Sequence[str]:
    """Return the subprotocols that a handshake offers."""
    return [name.strip() for line in request.headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, []) for name in line.split(",")]


def bound_policy(policy: SessionPolicy, session: bytes | msgspec.Raw, max_duration_seconds: int | None) -> SessionPolicy:
    """Return a policy whose sessions begin with these settings, some of which can't be left. Raises Refused as an update would."""
    try:
        wire = msgspec.json.decode(session, type=WireSession)
    except msgspec.DecodeError as error:
        raise Refused("invalid_value", f"`session` can't be used: {error}.", "session") from None
    bound = policy.beginning_with(patch_of(wire))
    if max_duration_seconds is None:
        return bound
    return structs.replace(bound, max_duration_ms=min(bound.max_duration_ms, max_duration_seconds * 1000))


def _is_same_origin(origin: str, host: str) -> bool:
    # Schemes may differ: TLS may end before the gateway.
    try:
        return urlsplit(origin).netloc.lower() == host.lower() != ""
    except ValueError:
        return False
