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
    if known.token is None:
        problem = f"The Secret {name!r} does not exist in this namespace, or the operator may not read it."
    elif not known.token.has_token:
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
    """Find a certificate's Secret that does not exist, for the gateway itself or for its ingress."""
    gateway = known.valid_spec.gateway
    ingress = gateway.expose.ingress if gateway.expose is not None else None
    places = {
        "spec.gateway.tls.secretRef": gateway.tls.secret_ref if gateway.tls is not None else None,
        "spec.gateway.expose.ingress.tlsSecretRef": ingress.tls_secret_ref if ingress is not None else None,
    }
    for path, reference in places.items():
        if reference is not None and reference.name in known.absent_secrets:
            return invalid(
                Reason.TLS_SECRET_NOT_FOUND,
                path,
                f"The Secret {reference.name!r} does not exist in this namespace.",
                "Create it with type kubernetes.io/tls, or remove the reference.",
            )
    return None
