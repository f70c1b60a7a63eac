"""Secrets that the spec names beside the key: the tenant's own client token, and the certificate."""

from mistral_voice.controller.build.token_secret import TOKEN_KEY
from mistral_voice.controller.check.finding import Finding, invalid
from mistral_voice.controller.input import Input
from mistral_voice.controller.reasons import Reason


def own_token_usable(known: Input) -> Finding | None:
    """Find a client-token Secret of the tenant's that does not exist or holds no token."""
    auth = known.valid_spec.gateway.auth
    if auth is None or auth.token_secret_ref is None:
        return None
    name = auth.token_secret_ref.name
    if name in known.absent_secrets:
        problem = f"The Secret {name!r} does not exist in this namespace."
    elif known.token is not None and not known.token.has_token:
        problem = f"The Secret {name!r} has no key {TOKEN_KEY!r}, or an empty one."
    else:
        return None
    return invalid(
        Reason.TOKEN_SECRET_INVALID,
        "spec.gateway.auth.tokenSecretRef",
        problem,
        f"Create the Secret with the key {TOKEN_KEY!r}, or remove tokenSecretRef: then the operator makes a token.",
    )


def certificate_present(known: Input) -> Finding | None:
    """Find a TLS Secret that does not exist."""
    tls = known.valid_spec.gateway.tls
    if tls is None or tls.secret_ref.name not in known.absent_secrets:
        return None
    return invalid(
        Reason.TLS_SECRET_NOT_FOUND,
        "spec.gateway.tls.secretRef",
        f"The Secret {tls.secret_ref.name!r} does not exist in this namespace.",
        "Create it with type kubernetes.io/tls, or remove spec.gateway.tls.",
    )
