"""From a reference to a key: what the API server answered becomes a state that says what is wrong, and never shows a value."""

import base64
import binascii
from collections.abc import Callable

from mistral_voice.contract.credential import CredentialError, CredentialFault, parse_api_key
from mistral_voice.contract.secret import Secret
from mistral_voice.contract.v1alpha1.spec import IntegrationSpecification, SecretKeyReference
from mistral_voice.contract.vocabulary import SecretErrorCode
from mistral_voice.controller.input import CredentialState, Input, ResolvedCredential, UnresolvedCredential
from mistral_voice.controller.previous import PreviousStatus
from mistral_voice.controller.reasons import ConditionType, Reason
from mistral_voice.kube.objects import KubeObject

DEFAULT_KEY = "apiKey"
TRIMMED = "CredentialTrimmed"
"""The issue that tells of white space which was taken off; a restart knows by it that there was some."""
_KUBERNETES_TYPES = "kubernetes.io/"
_WRITE_AGAIN = "Write the key into the Secret again, exactly as Mistral's console shows it."

_FAULTS = {
    CredentialFault.EMPTY: Reason.KEY_EMPTY,
    CredentialFault.BLANK: Reason.KEY_BLANK,
    CredentialFault.NOT_ASCII: Reason.KEY_NOT_ASCII,
    CredentialFault.CONTROL_CHARACTERS: Reason.KEY_HAS_CONTROL_CHARACTERS,
    CredentialFault.INNER_SPACE: Reason.KEY_HAS_INNER_SPACE,
    CredentialFault.TOO_LONG: Reason.KEY_TOO_LONG,
}


FoundCredential = tuple[CredentialState, Secret | None]
"""The state of the reference, and the key where there is one. The key goes to the probe and nowhere else."""


def source(reference: SecretKeyReference) -> str:
    """Return how status names the place of a key: `Secret/mistral`, and the key's name if it is not the default."""
    suffix = "" if reference.key == DEFAULT_KEY else f"/{reference.key}"
    return f"Secret/{reference.name}{suffix}"


def assess(reference: SecretKeyReference, answer: KubeObject | SecretErrorCode, digest: Callable[[Secret], str]) -> FoundCredential:
    """Return what a reference leads to, given the Secret or why it could not be read."""
    if isinstance(answer, SecretErrorCode):
        return _unread(reference, answer), None
    secret_type = str(answer.get("type", ""))
    if secret_type.startswith(_KUBERNETES_TYPES):
        return _invalid(
            Reason.SECRET_TYPE_NOT_ALLOWED,
            f"The Secret {reference.name!r} is of type {secret_type[:80]}, which Kubernetes uses for credentials of its own.",
            "Put the key into a Secret of type Opaque.",
        )
    data = answer.get("data") or {}
    if reference.key not in data:
        return _invalid(
            Reason.KEY_MISSING,
            f"The Secret {reference.name!r} has no key {reference.key!r}.",
            f"Add the key {reference.key!r} to the Secret, or set spec.secretRef.key to the one that holds the API key.",
        )
    return _parsed(reference, data[reference.key], digest)


def restored_credential(previous: PreviousStatus, spec: IntegrationSpecification) -> CredentialState | None:
    """Return the state that an earlier process resolved and left in status, or None if the Secret has to be read."""
    condition = previous.conditions.get(ConditionType.CREDENTIAL_RESOLVED)
    if spec.secret_ref is None or condition is None or condition.status != "True":
        return None
    if previous.credential.get("source") != source(spec.secret_ref):
        return None
    return ResolvedCredential(trimmed=any(issue.get("code") == TRIMMED for issue in previous.issues))


def resolved_once(known: Input) -> bool:
    """Tell whether the present reference leads to a key, or did so before: status keeps the source from then on.

    managed: whether the platform grants its plan, and with it the key that a tenant never sees.
    """
    if known.managed:
        return known.granted_plan is not None
    reference = known.valid_spec.secret_ref
    if reference is None:
        return False
    return isinstance(known.credential, ResolvedCredential) or known.previous.credential.get("source") == source(reference)


def _unread(reference: SecretKeyReference, code: SecretErrorCode) -> UnresolvedCredential:
    match code:
        case SecretErrorCode.NOT_FOUND:
            return UnresolvedCredential(
                code,
                Reason.SECRET_NOT_FOUND,
                f"The Secret {reference.name!r} does not exist in this namespace.",
                f"Create it: kubectl create secret generic {reference.name} --from-file={reference.key}=./my-key (a file with the key)",
            )
        case SecretErrorCode.FORBIDDEN:
            return UnresolvedCredential(
                code,
                Reason.SECRET_FORBIDDEN,
                f"The operator may not read the Secret {reference.name!r}.",
                "Ask the administrator to let the operator get Secrets in this namespace.",
            )
        case _:
            return UnresolvedCredential(
                code,
                Reason.SECRET_UNREADABLE,
                f"The Secret {reference.name!r} could not be read.",
                "Wait: it is tried again.",
            )


def _parsed(reference: SecretKeyReference, encoded: object, digest: Callable[[Secret], str]) -> FoundCredential:
    where = f"The key {reference.key!r} of the Secret {reference.name!r}"
    try:
        raw = base64.b64decode(str(encoded or ""), validate=True)
        key = parse_api_key(raw)
    except CredentialError as error:
        return _invalid(_FAULTS[error.fault], f"{where} is no API key. {error}", _WRITE_AGAIN)
    except binascii.Error:
        return _invalid(Reason.KEY_NOT_ASCII, f"{where} is not valid base64.", _WRITE_AGAIN)
    return ResolvedCredential(trimmed=key.trimmed, digest=digest(key.secret)), key.secret


def _invalid(reason: Reason, sentence: str, suggestion: str) -> FoundCredential:
    return UnresolvedCredential(SecretErrorCode.INVALID, reason, sentence, suggestion), None
