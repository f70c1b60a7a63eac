"""The client token's life."""

import base64
from datetime import timedelta
from typing import Any

import kubernetes_validate
import pytest

from mistral_voice.contract import names
from mistral_voice.contract.secret import Secret
from mistral_voice.controller.build.token_secret import OVERLAP, rotation, token_secret
from mistral_voice.controller.input import TokenState
from tests.unit.controller.given import NOW, known


def new_token() -> Secret:
    return Secret("new-token")


def decoded(patch: dict[str, Any] | None) -> dict[str, str | None]:
    assert patch is not None
    return {key: None if value is None else base64.b64decode(value).decode() for key, value in patch["data"].items()}


MARK = {names.ROTATE_TOKEN_ANNOTATION: "2026-11-22"}
STANDING = TokenState(ours=True, has_token=True)


def test_secret_is_made_with_a_new_token_and_the_mark_that_asked_for_it() -> None:
    made = token_secret(known(token=None, annotations=MARK), new_token)
    kubernetes_validate.validate(made, "1.35", strict=True)
    assert decoded(made) == {"token": "new-token"}
    assert made["metadata"]["annotations"] == MARK


def test_secret_that_stands_is_left_alone() -> None:
    assert rotation(known(), b"old", new_token) is None
    assert (
        rotation(known(annotations=MARK, token=TokenState(ours=True, has_token=True, rotation_mark="2026-11-22")), b"old", new_token)
        is None
    )


def test_mark_rotates_the_token_and_keeps_the_old_one_for_the_overlap() -> None:
    patch = rotation(known(annotations=MARK, token=STANDING), b"old", new_token)
    assert decoded(patch) == {"token": "new-token", "previousToken": "old"}
    assert patch is not None
    assert patch["metadata"]["annotations"][names.ROTATE_TOKEN_ANNOTATION] == "2026-11-22"


@pytest.mark.parametrize(("age", "dropped"), [(OVERLAP - timedelta(seconds=1), False), (OVERLAP, True)])
def test_old_token_is_dropped_after_the_overlap(age: timedelta, dropped: bool) -> None:
    rotated = TokenState(ours=True, has_token=True, has_previous_token=True, rotation_mark="2026-11-22", rotated_at=NOW - age)
    patch = rotation(known(annotations=MARK, token=rotated), b"new", new_token)
    assert (patch == {"data": {"previousToken": None}}) == dropped


def test_secret_of_somebody_else_is_never_rotated() -> None:
    assert rotation(known(annotations=MARK, token=TokenState(ours=False, has_token=True)), b"old", new_token) is None
