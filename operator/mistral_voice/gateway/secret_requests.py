"""`POST /v1/realtime/client_secrets`: a server asks for an ephemeral secret."""

import secrets
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from mistral_voice.contract.secret import Secret
from mistral_voice.gateway.admission import bound_policy
from mistral_voice.gateway.client_secret import Claims, ClientSecrets, TooMuchToSignError
from mistral_voice.gateway.connection import new_id
from mistral_voice.gateway.protocol.misfits import misfit_of
from mistral_voice.gateway.protocol.nesting import MOST_LEVELS, nests_too_deeply
from mistral_voice.gateway.protocol.session_object import wire_session
from mistral_voice.gateway.session.core import Session
from mistral_voice.gateway.session.errors import Refused
from mistral_voice.gateway.session.events import SessionCreated
from mistral_voice.gateway.session.policy import SessionPolicy

ANCHOR = "created_at"
"""From when a secret's seconds count; the protocol knows no other moment."""
DEFAULT_SECONDS = 600
MAX_BODY_BYTES = 256 * 1024


class ExpiresAfter(Struct, frozen=True):
    """When the secret expires: so many seconds after it was made."""

    anchor: str | None = None
    seconds: Annotated[int, Meta(ge=10, le=7200)] = DEFAULT_SECONDS


class SecretRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The request. `max_duration_seconds`, which is ours alone, bounds the sessions beyond what the integration does."""

    # A name that isn't known is refused: what was meant by it would not be fixed.
    expires_after: ExpiresAfter | UnsetType | None = UNSET
    session: Raw = Raw(b"{}")
    max_duration_seconds: Annotated[int, Meta(ge=1, le=3600)] | None = None


def issue(secrets_of: ClientSecrets, policy: SessionPolicy, token: Secret, body: bytes, now: float) -> dict[str, Any]:
    """Return the answer to a request with this body; `now` is in seconds since 1970. Raises Refused if it can't be had."""
    if nests_too_deeply(body):
        raise Refused("invalid_json", f"The body is nested too deeply: objects and lists have {MOST_LEVELS} levels at most.")
    try:
        wanted = msgspec.json.decode(body or b"{}", type=SecretRequest)
    except msgspec.ValidationError as error:
        misfit = misfit_of(error)
        raise Refused(misfit.code, f"The request can't be used: {misfit.message}", misfit.param) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Refused("invalid_json", "The body is not valid JSON.") from None
    expires_after = wanted.expires_after or ExpiresAfter()
    if expires_after.anchor not in (None, ANCHOR):
        raise Refused("invalid_value", f"`expires_after.anchor` must be {ANCHOR}: seconds count from then.", "expires_after.anchor")
    session = b"{}" if bytes(wanted.session) == b"null" else bytes(wanted.session)
    bound = bound_policy(policy, session, wanted.max_duration_seconds)
    expires_at = int(now) + expires_after.seconds
    claims = Claims(secrets.token_urlsafe(9), expires_at, Raw(session), wanted.max_duration_seconds)
    try:
        value = secrets_of.issue(token, claims)
    except TooMuchToSignError as error:
        raise Refused("session_too_large", str(error), "session") from None
    return {"value": value.reveal(), "expires_at": expires_at, "session": _session_shown(bound)}


def _session_shown(policy: SessionPolicy) -> dict[str, Any]:
    """Return the session as a client will first see it, but for its end, which is not known yet."""
    session = Session(new_id("sess"), policy, new_id, now_ms=0.0, expires_at=0)
    created = session.start()[0]
    if not isinstance(created, SessionCreated):
        raise AssertionError("A session begins with session.created.")
    return {key: value for key, value in wire_session(created.session).items() if key != "expires_at"}
