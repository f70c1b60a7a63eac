"""What a TokenReview must say before a gateway is known."""

from typing import Any

import pytest

from mistral_voice.kube.identity import Caller, NotAuthenticatedError, caller_of

AUDIENCE = "mistral-voice-broker"
EXTRA = {"authentication.kubernetes.io/pod-name": ["gateway-0"], "authentication.kubernetes.io/pod-uid": ["p1"]}
GOOD: dict[str, Any] = {
    "authenticated": True,
    "audiences": [AUDIENCE],
    "user": {"username": "system:serviceaccount:shop:hello-voice", "extra": EXTRA},
}


def test_a_pods_token_names_namespace_account_and_pod() -> None:
    assert caller_of(GOOD, AUDIENCE) == Caller("shop", "hello-voice", "gateway-0", "p1")


def user(**changes: Any) -> dict[str, Any]:
    return GOOD | {"user": GOOD["user"] | changes}


@pytest.mark.parametrize(
    "status",
    [
        {},
        GOOD | {"authenticated": False},
        GOOD | {"authenticated": "true"},
        GOOD | {"audiences": []},
        GOOD | {"audiences": None},
        GOOD | {"audiences": ["https://kubernetes.default.svc"]},
        user(username="system:admin"),
        user(username="system:serviceaccount:shop"),
        user(username="system:serviceaccount:shop:hello:voice"),
        user(username="system:serviceaccount::hello-voice"),
        user(extra={}),
        user(extra=None),
        user(extra={"authentication.kubernetes.io/pod-name": ["gateway-0"]}),
        user(extra={"authentication.kubernetes.io/pod-name": [], "authentication.kubernetes.io/pod-uid": []}),
    ],
)
def test_anything_less_is_nobody(status: dict[str, Any]) -> None:
    with pytest.raises(NotAuthenticatedError):
        caller_of(status, AUDIENCE)
