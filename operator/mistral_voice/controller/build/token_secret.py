"""The client token: a random value that servers present to the gateway. Made once, rotated with an overlap, never restored to an old value.

The values come from outside, so that this stays pure.
"""

import base64
from collections.abc import Callable
from datetime import UTC, timedelta
from typing import Any

from mistral_voice.contract import names
from mistral_voice.contract.secret import Secret
from mistral_voice.controller.build.common import Child, labels
from mistral_voice.controller.input import Input
from mistral_voice.kube.objects import KubeObject
from mistral_voice.kube.resources import SECRET

TOKEN_KEY = "token"  # noqa: S105 - a key of the Secret's data
PREVIOUS_TOKEN_KEY = "previousToken"  # noqa: S105 - a key of the Secret's data
ROTATED_AT_ANNOTATION = f"{names.GROUP}/token-rotated-at"
OVERLAP = timedelta(hours=24)
"""How long the token before the last rotation is still taken."""

NewToken = Callable[[], Secret]


def token_wanted(known: Input) -> bool:
    """Tell whether the operator makes the token: not if the tenant brings one."""
    auth = known.valid_spec.gateway.auth
    return auth is None or auth.token_secret_ref is None


def token_secret_place(known: Input) -> Child:
    """Return the Secret without its value: its place among the children."""
    mark = known.annotations.get(names.ROTATE_TOKEN_ANNOTATION)
    metadata = {"name": names.token_secret_name(known.name), "namespace": known.namespace, "labels": labels(known)}
    if mark is not None and known.token is None:
        metadata["annotations"] = {names.ROTATE_TOKEN_ANNOTATION: mark}
    return Child(SECRET, {"apiVersion": SECRET.api_version, "kind": SECRET.kind, "metadata": metadata, "type": "Opaque"})


def token_secret(known: Input, new_token: NewToken) -> KubeObject:
    """Return the Secret with a new token, for its creation; of one that exists, only what is missing is taken from it."""
    return {**token_secret_place(known).body, "data": {TOKEN_KEY: _encoded(new_token().reveal().encode())}}


def rotation(known: Input, current_token: bytes, new_token: NewToken) -> dict[str, Any] | None:
    """Return the merge patch that the present token Secret needs, or None.

    A mark on the integration that differs from the Secret's asks for a new token; the present one stays valid for the overlap, then it is
    dropped. To drop it at once, rotate again.
    """
    state = known.token
    if state is None or not state.ours or not state.has_token:
        return None
    mark = known.annotations.get(names.ROTATE_TOKEN_ANNOTATION)
    if mark is not None and mark != state.rotation_mark:
        rotated_at = known.now.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        return {
            "metadata": {"annotations": {names.ROTATE_TOKEN_ANNOTATION: mark, ROTATED_AT_ANNOTATION: rotated_at}},
            "data": {TOKEN_KEY: _encoded(new_token().reveal().encode()), PREVIOUS_TOKEN_KEY: _encoded(current_token)},
        }
    if state.has_previous_token and state.rotated_at is not None and known.now >= state.rotated_at + OVERLAP:
        return {"data": {PREVIOUS_TOKEN_KEY: None}}
    return None


def _encoded(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")
