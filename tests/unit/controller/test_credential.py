"""From a reference to a key."""

import base64

import pytest

from mistral_voice.contract.secret import Secret
from mistral_voice.contract.v1alpha1.spec import SecretKeyReference
from mistral_voice.contract.vocabulary import SecretErrorCode
from mistral_voice.controller.credential import assess, resolved_once, restored_credential, source
from mistral_voice.controller.input import CredentialState, ResolvedCredential, UnresolvedCredential
from mistral_voice.controller.previous import parse_status
from mistral_voice.controller.reasons import Reason
from mistral_voice.kube.objects import KubeObject
from tests.unit.controller.given import MISSING, known, spec

REFERENCE = SecretKeyReference(name="mistral")
CANARY = "canary4711"


def secret(value: bytes | None, secret_type: str = "Opaque", key: str = "apiKey") -> KubeObject:
    return {"type": secret_type, "data": {} if value is None else {key: base64.b64encode(value).decode()}}


def state_of(answer: KubeObject | SecretErrorCode) -> CredentialState:
    return assess(REFERENCE, answer, lambda key: f"digest of {len(key.reveal())}")[0]


@pytest.mark.parametrize("secret_type", ["Opaque", "", "example.com/api-key"])
def test_key_in_an_opaque_or_custom_secret_resolves(secret_type: str) -> None:
    state, key = assess(REFERENCE, secret(b"abc123", secret_type), lambda _: "d")
    assert state == ResolvedCredential(trimmed=False, digest="d")
    assert key == Secret("abc123")


def test_white_space_is_taken_off_and_told() -> None:
    state, key = assess(REFERENCE, secret(b" abc123\r\n"), lambda _: "d")
    assert state == ResolvedCredential(trimmed=True, digest="d")
    assert key == Secret("abc123")


@pytest.mark.parametrize(
    ("answer", "code", "reason"),
    [
        (SecretErrorCode.NOT_FOUND, SecretErrorCode.NOT_FOUND, Reason.SECRET_NOT_FOUND),
        (SecretErrorCode.FORBIDDEN, SecretErrorCode.FORBIDDEN, Reason.SECRET_FORBIDDEN),
        (SecretErrorCode.UNKNOWN, SecretErrorCode.UNKNOWN, Reason.SECRET_UNREADABLE),
        (secret(None), SecretErrorCode.INVALID, Reason.KEY_MISSING),
        (secret(b"x", key="other"), SecretErrorCode.INVALID, Reason.KEY_MISSING),
        ({"type": "Opaque"}, SecretErrorCode.INVALID, Reason.KEY_MISSING),
        (secret(b""), SecretErrorCode.INVALID, Reason.KEY_EMPTY),
        (secret(b" \n\t "), SecretErrorCode.INVALID, Reason.KEY_BLANK),
        (secret(f"{CANARY}\n{CANARY}".encode()), SecretErrorCode.INVALID, Reason.KEY_HAS_CONTROL_CHARACTERS),
        (secret(f"{CANARY}é".encode()), SecretErrorCode.INVALID, Reason.KEY_NOT_ASCII),
        (secret(f"{CANARY} {CANARY}".encode()), SecretErrorCode.INVALID, Reason.KEY_HAS_INNER_SPACE),
        (secret(CANARY.encode() * 1000), SecretErrorCode.INVALID, Reason.KEY_TOO_LONG),
        (secret(CANARY.encode(), "kubernetes.io/tls"), SecretErrorCode.INVALID, Reason.SECRET_TYPE_NOT_ALLOWED),
        (secret(CANARY.encode(), "kubernetes.io/service-account-token"), SecretErrorCode.INVALID, Reason.SECRET_TYPE_NOT_ALLOWED),
        ({"type": "Opaque", "data": {"apiKey": "%%%"}}, SecretErrorCode.INVALID, Reason.KEY_NOT_ASCII),
    ],
)
def test_each_way_not_to_resolve_has_its_reason_and_quotes_nothing(
    answer: KubeObject | SecretErrorCode, code: SecretErrorCode, reason: Reason
) -> None:
    state = state_of(answer)
    assert isinstance(state, UnresolvedCredential)
    assert (state.code, state.reason) == (code, reason)
    assert state.sentence
    assert state.suggestion
    assert CANARY not in repr(state)


def test_source_names_the_secret_and_a_key_that_is_not_the_default() -> None:
    assert source(REFERENCE) == "Secret/mistral"
    assert source(SecretKeyReference(name="keys", key="voice")) == "Secret/keys/voice"


RESOLVED_STATUS = {
    "conditions": [{"type": "CredentialResolved", "status": "True", "reason": "Resolved", "message": ""}],
    "credential": {"source": "Secret/mistral"},
}


def test_restart_believes_what_status_says_of_the_same_reference() -> None:
    assert restored_credential(parse_status(RESOLVED_STATUS), spec()) == ResolvedCredential()
    trimmed = {**RESOLVED_STATUS, "issues": [{"code": "CredentialTrimmed"}]}
    assert restored_credential(parse_status(trimmed), spec()) == ResolvedCredential(trimmed=True)


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"credential": {"source": "Secret/mistral"}},
        {**RESOLVED_STATUS, "credential": {"source": "Secret/other"}},
        {**RESOLVED_STATUS, "conditions": [{"type": "CredentialResolved", "status": "False", "reason": "KeyMissing", "message": ""}]},
        {"conditions": "nonsense", "credential": 7},
    ],
)
def test_restart_reads_the_secret_where_status_does_not_vouch_for_it(status: dict[str, object]) -> None:
    assert restored_credential(parse_status(status), spec()) is None


def test_reference_resolved_once_if_it_does_or_status_keeps_its_source() -> None:
    assert resolved_once(known())
    assert not resolved_once(known(credential=MISSING))
    assert resolved_once(known(credential=MISSING, previous={"credential": {"source": "Secret/mistral"}}))
    assert not resolved_once(known(credential=MISSING, previous={"credential": {"source": "Secret/mistral/other"}}))
