"""How deep a message may nest: as deep under every interpreter."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mistral_voice.gateway.protocol.client_events import BadEventError, decode
from mistral_voice.gateway.protocol.nesting import MOST_LEVELS, nests_too_deeply

JSON = st.recursive(
    st.none() | st.integers(-9, 9) | st.text('[]{}"\\é', max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('[{"\\', max_size=3), inner, max_size=3),
    max_leaves=20,
)


def levels(value: object) -> int:
    match value:
        case list():
            return 1 + max(map(levels, value), default=0)
        case dict():
            return 1 + max(map(levels, value.values()), default=0)
        case _:
            return 0


@given(JSON, st.sampled_from([1, 10, MOST_LEVELS - 3, MOST_LEVELS - 2, MOST_LEVELS - 1, MOST_LEVELS, MOST_LEVELS + 1, 5000]))
def test_levels_are_counted_whatever_stands_in_strings(inner: object, around: int) -> None:
    text = b'{"a[{":[' * (around // 2) + msgspec.json.encode(["}]" * MOST_LEVELS, inner]) + b"]}" * (around // 2)
    assert nests_too_deeply(text) is (around // 2 * 2 + 1 + levels(inner) > MOST_LEVELS)


@pytest.mark.parametrize("text", [b'"' * 1001, b"[" * 200 + b'"\\', b"]" * 500 + b"[" * 50, b"\xff[" * 101, b'{"a":"' + b"[" * 1_000_000])
def test_what_is_no_json_is_told_in_time(text: bytes) -> None:
    assert nests_too_deeply(text) is text.startswith((b"[", b"\xff"))


def deep(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


@pytest.mark.parametrize("depth", [MOST_LEVELS, 980, 990, 1500, 9000, 100_000])
@pytest.mark.parametrize(
    "message",
    [
        b'{"type":"session.update","session":{"type":"realtime","tools":[{"type":"function","name":"f","parameters":%s}]}}',
        b'{"type":"response.create","response":{"metadata":%s}}',
        b'{"type":"session.update","unknown":%s}',
        b'{"type":%s}',
    ],
)
def test_a_message_that_nests_too_deeply_is_refused_with_the_limit(message: bytes, depth: int) -> None:
    with pytest.raises(BadEventError, match="100 levels at most") as refused:
        decode(message % deep(depth))
    assert refused.value.code == "invalid_json"
