"""What Mistral refuses in a message list, rule by rule."""

from typing import Any

import aiohttp
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mistral_voice.simulator.messages import Strictness, refusal
from mistral_voice.simulator.wire.chat import Message
from tests.support.simulator import SimulatorHandle
from tests.unit.simulator.clients import chat, user

SYSTEM = {"role": "system", "content": "Be brief."}
USER = user("Hello")
ASSISTANT = {"role": "assistant", "content": "Hi."}


def call(*ids: str) -> dict[str, Any]:
    return {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": call_id, "function": {"name": "f", "arguments": "{}"}} for call_id in ids],
    }


def named_call(name: str) -> dict[str, Any]:
    made = call("abcDEF123")
    return {**made, "tool_calls": [{**made["tool_calls"][0], "function": {"name": name, "arguments": "{}"}}]}


def result(call_id: str | None) -> dict[str, Any]:
    return {"role": "tool", "content": "42", "tool_call_id": call_id}


def code(messages: list[dict[str, Any]], strictness: Strictness | None = None) -> str | None:
    refused = refusal(msgspec.convert(messages, list[Message]), strictness or Strictness())
    return None if refused is None else refused.code


@pytest.mark.parametrize(
    "messages",
    [
        [USER],
        [SYSTEM, USER],
        [SYSTEM, SYSTEM, USER],
        [USER, USER],
        [USER, ASSISTANT, USER],
        [ASSISTANT, USER],
        [USER, call("abcDEF123"), result("abcDEF123")],
        [USER, call("aaaaaaaa1", "aaaaaaaa2"), result("aaaaaaaa2"), result("aaaaaaaa1"), ASSISTANT, USER],
        [USER, {"role": "assistant", "content": "Certainly, ", "prefix": True}],
        [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
    ],
)
def test_legal_lists_pass(messages: list[dict[str, Any]]) -> None:
    assert code(messages) is None


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([], "3230"),
        ([SYSTEM], "3230"),
        ([ASSISTANT], "3230"),
        ([call("abcDEF123"), result("abcDEF123")], "3230"),
        ([result("abcDEF123"), USER], "3230"),
        ([USER, ASSISTANT], "3230"),
        ([USER, SYSTEM], "3230"),
        ([USER, ASSISTANT, SYSTEM], "3230"),
        ([USER, call("abcDEF123"), result("abcDEF123"), USER], "3230"),
        ([USER, result("abcDEF123")], "3230"),
        ([USER, call("abcDEF123"), USER], "3230"),
        ([USER, call("abcDEF123"), ASSISTANT, USER], "3230"),
        ([USER, call("abcDEF123", "abcDEF124"), result("abcDEF123")], "3230"),
        ([USER, call("abcDEF123"), result("zzzDEF123")], "3230"),
        ([USER, call("abcDEF123"), result("abcDEF123"), result("abcDEF123")], "3230"),
        ([USER, call("abcDEF123", "abcDEF123"), result("abcDEF123")], "3230"),
        ([USER, {"role": "assistant", "content": ""}, USER], "3240"),
        ([USER, {"role": "assistant", "content": "a", "prefix": True}, USER], "3240"),
        ([USER, named_call("a function"), result("abcDEF123")], "3280"),
        ([USER, call("call_abcdef"), result("call_abcdef")], "3280"),
        ([USER, call("abcDEF12"), result("abcDEF12")], "3280"),
        ([USER, call("abcDEF1234"), result("abcDEF1234")], "3280"),
        ([USER, call("abcDEF123\n"), result("abcDEF123\n")], "3280"),
        ([USER, call("abcDEF123"), result(None)], "3280"),
        ([{"role": "developer", "content": "a"}, USER], "3230"),
    ],
)
def test_illegal_lists_are_refused_with_their_code(messages: list[dict[str, Any]], expected: str) -> None:
    assert code(messages) == expected


def test_disputed_rules_can_be_let_go() -> None:
    lenient = Strictness(user_after_tool_refused=False, nine_character_ids=False, system_alone_refused=False)
    assert code([SYSTEM], lenient) is None
    assert code([USER, call("abcDEF123"), result("abcDEF123"), USER], lenient) is None
    assert code([USER, call("call_1"), result("call_1")], lenient) is None
    assert code([USER, ASSISTANT], lenient) == "3230"


MESSAGES = st.lists(
    st.one_of(
        st.sampled_from([SYSTEM, USER, ASSISTANT]),
        st.sampled_from(["abcDEF123", "abcDEF124", "bad"]).flatmap(lambda call_id: st.sampled_from([call(call_id), result(call_id)])),
    ),
    max_size=8,
)


@given(MESSAGES)
def test_what_passes_ends_with_user_or_tool_and_answers_every_call(messages: list[dict[str, Any]]) -> None:
    if code(messages) is not None:
        return
    assert messages[-1]["role"] in ("user", "tool")
    calls = [entry["id"] for message in messages for entry in message.get("tool_calls", ())]
    results = [message["tool_call_id"] for message in messages if message["role"] == "tool"]
    assert sorted(calls) == sorted(results)
    assert "bad" not in calls


async def test_the_endpoint_refuses_with_mistrals_error_object(http: aiohttp.ClientSession) -> None:
    async with http.post("/v1/chat/completions", json=chat(USER, ASSISTANT, stream=True)) as response:
        assert response.status == 400
        assert await response.json() == {
            "object": "error",
            "message": "Expected last role User or Tool (or Assistant with prefix True) for serving but got assistant",
            "type": "invalid_request_message_order",
            "param": None,
            "code": "3230",
        }


async def test_the_dialect_reaches_the_endpoint(mistral: SimulatorHandle, http: aiohttp.ClientSession) -> None:
    await mistral.admin("PATCH", "/dialect", {"system_alone_refused": False, "message_order_status": 422})
    async with http.post("/v1/chat/completions", json=chat(SYSTEM)) as response:
        assert response.status == 200
    async with http.post("/v1/chat/completions", json=chat(USER, ASSISTANT)) as response:
        assert response.status == 422
