"""A secret has no printable form."""

import copy
import json
import pickle
from dataclasses import dataclass

import msgspec
import pytest

from mistral_voice.contract.secret import Secret

VALUE = "canary-4711"


@dataclass
class Holder:
    key: Secret


def test_secret_is_not_printed_alone_or_within_something() -> None:
    secret = Secret(VALUE)
    shown = f"{secret} {secret!r} {[secret]} {Holder(secret)} {ValueError(secret)!r} {secret:}"
    assert VALUE not in shown
    assert VALUE not in "%s %r" % (secret, secret)  # noqa: UP031 - logging formats this way


def test_secret_can_not_be_serialised() -> None:
    for serialise in (pickle.dumps, copy.copy, json.dumps, msgspec.json.encode):
        with pytest.raises(TypeError) as caught:
            serialise(Secret(VALUE))
        assert VALUE not in str(caught.value)


def test_secrets_are_equal_by_value() -> None:
    assert Secret(VALUE) == Secret(VALUE)
    assert Secret(VALUE) != Secret("another")
    assert Secret(VALUE) != VALUE
    assert len({Secret(VALUE), Secret(VALUE)}) == 1


def test_value_comes_out_where_it_is_asked_for() -> None:
    assert Secret(VALUE).reveal() == VALUE
