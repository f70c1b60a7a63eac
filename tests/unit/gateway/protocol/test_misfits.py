"""Somebody whose JSON has the wrong form reads which field it is, and what it must be."""

import json

import pytest

from mistral_voice.gateway.protocol.client_events import BadEventError, decode


@pytest.mark.parametrize(
    ("event", "param", "sentence"),
    [
        ({"type": "session.update"}, "session", "`session.update` can't be used: `session` is missing."),
        (
            {"type": "conversation.item.create", "item": {"role": "user"}},
            "item.type",
            "`conversation.item.create` can't be used: `item.type` is missing.",
        ),
        (
            {"type": "session.update", "session": {"audio": {"input": {"format": "pcm16"}}}},
            "session.audio.input.format",
            "`session.update` can't be used: `session.audio.input.format` must be an object or null, not a string.",
        ),
        (
            {"type": "input_audio_buffer.append", "audio": [1]},
            "audio",
            "`input_audio_buffer.append` can't be used: `audio` must be a string of base64, not a list.",
        ),
        (
            {"type": "input_audio_buffer.append", "audio": "!"},
            "audio",
            "`input_audio_buffer.append` can't be used: `audio` must be base64.",
        ),
        (
            {"type": "conversation.item.delete", "item_id": "x" * 513},
            "item_id",
            "`conversation.item.delete` can't be used: `item_id` must have at most 512 characters.",
        ),
    ],
)
def test_the_sentence_names_the_field_and_what_it_must_be(event: dict[str, object], param: str, sentence: str) -> None:
    with pytest.raises(BadEventError) as caught:
        decode(json.dumps(event).encode())
    assert (caught.value.param, caught.value.message) == (param, sentence)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("response.creat", "Did you mean `response.create`?"),
        ("sesion.update", "Did you mean `session.update`?"),
        ("transcription_session.update", "Send `session.update` with the `type` transcription."),
        ("ping", "There are conversation.item.create, "),
        ("x" * 1_000_000, "There are conversation.item.create, "),
    ],
)
def test_an_unknown_event_is_answered_by_the_one_that_was_meant(name: str, advice: str) -> None:
    with pytest.raises(BadEventError) as caught:
        decode(json.dumps({"type": name}).encode())
    assert advice in caught.value.message


def test_a_tool_in_the_form_of_chat_completions_is_told_where_its_name_belongs() -> None:
    event = {"type": "session.update", "session": {"tools": [{"type": "function", "function": {"name": "f"}}]}}
    with pytest.raises(BadEventError, match="not within `function` as in Chat Completions") as caught:
        decode(json.dumps(event).encode())
    assert caught.value.param == "session.tools[0].name"
