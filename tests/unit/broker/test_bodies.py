"""What a gateway sends passes only as far as it was understood; it is written anew."""

import base64
import contextlib
import json
from typing import Any

import pytest

from mistral_voice.broker.bodies import SpeechMessages, TranscriptionMessages, chat_request, speech_request
from mistral_voice.broker.metering import Meter
from mistral_voice.broker.refused_call import RefusedCallError
from mistral_voice.contract.lease import Unit
from tests.unit.broker.given import CHAT, HEARING, SPEECH, entitled

MESSAGES = [{"role": "user", "content": "Hello"}]


def chat(**fields: Any) -> bytes:
    return json.dumps({"model": CHAT, "messages": MESSAGES, "stream": True, **fields}).encode()


def used(meter: Meter) -> dict[Unit, int]:
    return {amount.unit: amount.amount for amount in meter.usage(0).amounts}


@pytest.mark.parametrize("depth", [100, 600, 950, 5_000])
def test_a_request_however_deep_is_counted_or_refused(depth: int) -> None:
    deep = b'{"a":' * depth + b"1" + b"}" * depth
    tool = b'{"type":"function","function":{"name":"f","parameters":' + deep + b"}}"
    body = chat()[:-1] + b',"tools":[' + tool + b"]}"
    with pytest.raises(RefusedCallError) if depth > 500 else contextlib.nullcontext():
        chat_request(body, entitled(), Meter(0))


def test_a_gateways_own_request_passes_as_it_is() -> None:
    body, model, _ = chat_request(chat(prompt_cache_key="sess", reasoning_effort="none", max_tokens=10), entitled(), Meter(0))
    assert model == CHAT
    assert json.loads(body) == json.loads(chat(prompt_cache_key="sess", reasoning_effort="none", max_tokens=10))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (chat(model="mistral-large-4"), 403),
        (chat(model=["mistral-medium-latest"]), 400),
        (chat(stream=False), 400),
        (chat(stream="true"), 400),
        (chat(n=50), 400),
        (chat(api_base="https://evil.example"), 400),
        (chat(service_tier="priority"), 400),
        (chat(tools=[{"type": "web_search"}]), 400),
        (chat(tools=[{"type": "function", "function": {"name": "f", "parameters": {}}, "connector_id": "x"}]), 400),
        (chat(messages=[{"role": "user", "content": [{"type": "input_audio", "input_audio": "AAAA"}]}]), 400),
        (chat(messages=[{"role": "user", "content": [{"type": "document_url", "document_url": "https://evil.example"}]}]), 400),
        (chat(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": "https://169.254.169.254/"}]}]), 400),
        (chat(messages=[{"role": "user", "content": "Hello", "prefix": True}]), 400),
        (chat(messages="Hello"), 400),
        (chat(max_tokens=-1), 400),
        (b"[]", 400),
        (b"", 400),
        (b"[" * 100_000, 400),
        (b'{"model":"\xff"}', 400),
    ],
)
def test_what_no_gateway_sends_is_refused(body: bytes, status: int) -> None:
    with pytest.raises(RefusedCallError) as refused:
        chat_request(body, entitled(), Meter(0))
    assert refused.value.status == status


def test_all_that_a_gateway_asks_with_pictures_and_functions_passes() -> None:
    picture = {"type": "image_url", "image_url": "data:image/png;base64," + "A" * 1_000_000}
    call = {"id": "abcdefghi", "type": "function", "function": {"name": "look", "arguments": '{"at":1}'}}
    fields: dict[str, Any] = {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "What is this?"}, picture]},
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "content": "{}", "tool_call_id": "abcdefghi"},
        ],
        "tools": [{"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object"}}}],
        "tool_choice": {"type": "function", "function": {"name": "look"}},
        "parallel_tool_calls": False,
    }
    meter = Meter(0)
    body, _, counting = chat_request(chat(**fields), entitled(), meter)
    assert json.loads(body) == json.loads(chat(**fields))
    counting.close()
    assert 4096 < used(meter)[Unit.INPUT_TOKENS] < 5000, "a picture counts as a picture, where Mistral doesn't tell"


def test_a_text_that_looks_like_a_picture_counts_as_a_text() -> None:
    meter = Meter(0)
    chat_request(chat(messages=[{"role": "user", "content": "data:image/png;base64," + "A" * 300_000}]), entitled(), meter)[2].close()
    assert used(meter)[Unit.INPUT_TOKENS] > 100_000


def test_a_name_that_comes_twice_goes_on_once_as_it_was_checked() -> None:
    twice = chat()[:-1] + b', "model": "' + CHAT.encode() + b'"}'
    twice = twice.replace(CHAT.encode(), b"mistral-large-4", 1)
    body, _, _ = chat_request(twice, entitled(), Meter(0))
    assert body.count(b'"model"') == 1
    assert b"mistral-large-4" not in body


def test_speech_over_http_is_held_to_models_and_voices() -> None:
    good = {"model": SPEECH, "input": "Bonjour", "voice_id": "voice_1", "response_format": "pcm", "stream": True}
    meter = Meter(0)
    _, model, counting = speech_request(json.dumps(good).encode(), entitled(frozenset(("voice_1",))), meter)
    assert (model, used(meter)) == (SPEECH, {}), "what Mistral refuses costs nothing"
    counting.close()
    counting.close()
    assert used(meter) == {Unit.CHARACTERS: 7}
    for change in ({"model": CHAT}, {"voice_id": "voice_2"}, {"ref_audio": "AAAA"}):
        with pytest.raises(RefusedCallError):
            speech_request(json.dumps(good | change).encode(), entitled(frozenset(("voice_1",))), meter)


def update(**session: Any) -> bytes:
    return json.dumps({"type": "session.update", "session": session}).encode()


def append(audio: bytes) -> bytes:
    return b'{"type":"input_audio.append","audio":"' + base64.b64encode(audio) + b'"}'


def test_transcribed_audio_is_counted_in_the_agreed_format() -> None:
    meter = Meter(0)
    messages = TranscriptionMessages(meter, HEARING)
    messages.passed(update(audio_format={"encoding": "pcm_mulaw", "sample_rate": 8000}, language="fr"))
    assert messages.passed(append(bytes(800))) == append(bytes(800))
    messages.passed(json.dumps({"audio": base64.b64encode(bytes(800)).decode(), "type": "input_audio.append"}).encode())
    assert messages.passed(b'{"type":"input_audio.end","audio":"AAAA"}') == b'{"type":"input_audio.end"}'
    assert used(meter)[Unit.AUDIO_MS] in (200, 201)


@pytest.mark.parametrize(
    "frame",
    [
        update(model="voxtral-other"),
        update(audio_format={"encoding": "flac", "sample_rate": 24000}),
        update(audio_format={"encoding": "pcm_s16le", "sample_rate": 1}),
        update(audio_format="pcm"),
        b'{"type":"session.update"}',
        b'{"type":"response.create"}',
        b'{"type":"input_audio.append","audio":7}',
        b"null",
    ],
)
def test_no_other_message_goes_to_a_transcription(frame: bytes) -> None:
    with pytest.raises(RefusedCallError):
        TranscriptionMessages(Meter(0), HEARING).passed(frame)


def test_the_format_cannot_change_once_audio_was_counted_in_it() -> None:
    messages = TranscriptionMessages(Meter(0), HEARING)
    messages.passed(append(bytes(100)))
    with pytest.raises(RefusedCallError):
        messages.passed(update(audio_format={"encoding": "pcm_f32le", "sample_rate": 48000}))


@pytest.mark.parametrize(("text", "milliseconds"), [(b"====", 0), (b"AAAA==", 30), (b"AAAA====", 30), (b"AA==", 10), (b"AAA", 20)])
def test_padding_makes_no_audio_cheaper(text: bytes, milliseconds: int) -> None:
    meter = Meter(0)
    messages = TranscriptionMessages(meter, HEARING)
    for _ in range(320):
        messages.passed(b'{"type":"input_audio.append","audio":"' + text + b'"}')
        messages.passed(b'{"type":"input_audio.append","audio":"=="}')
    assert used(meter).get(Unit.AUDIO_MS, 0) == milliseconds
    with pytest.raises(RefusedCallError) if milliseconds else contextlib.nullcontext():
        messages.passed(b'{"type":"session.update","session":{}}')


@pytest.mark.parametrize("audio", [b"AA\xc0\xa2AA", b"AA\nAA", b"AA\xff"])
def test_what_a_lenient_reader_might_take_for_something_else_does_not_pass(audio: bytes) -> None:
    with pytest.raises(RefusedCallError):
        TranscriptionMessages(Meter(0), HEARING).passed(b'{"type":"input_audio.append","audio":"' + audio + b'"}')


def test_a_second_audio_hidden_in_an_append_is_counted_as_what_goes_on() -> None:
    meter = Meter(0)
    hidden = b'{"type":"input_audio.append","audio":"' + b"A" * 32000 + b'","audio":"AAAA"}'
    passed = TranscriptionMessages(meter, HEARING).passed(hidden)
    assert passed == b'{"type":"input_audio.append","audio":"AAAA"}'
    assert used(meter)[Unit.AUDIO_MS] == 1


def test_spoken_characters_are_counted_wherever_they_stand() -> None:
    meter = Meter(0)
    messages = SpeechMessages(meter, SPEECH, entitled(frozenset(("voice_1",))))
    messages.passed(update(voice="voice_1", response_format="pcm", streaming_mode="responsive"))
    messages.passed(b'{"type":"input_text.append","text":"Bonjour \xc3\xa0 tous"}')
    messages.passed(b'{"type":"input_text.flush","text":"!"}')
    assert messages.passed(b'{"type":"input_text.flush"}') == b'{"type":"input_text.flush"}'
    assert used(meter) == {Unit.CHARACTERS: 15}
    for frame in (update(voice="voice_2"), update(ref_audio="AAAA"), update(model="x"), b'{"type":"input_text.append"}'):
        with pytest.raises(RefusedCallError):
            messages.passed(frame)


def test_nothing_is_spoken_before_a_voice_of_the_plan_is_named() -> None:
    """Mistral has a voice of its own for who names none."""
    messages = SpeechMessages(Meter(0), SPEECH, entitled(frozenset(("voice_1",))))
    with pytest.raises(RefusedCallError):
        messages.passed(b'{"type":"input_text.append","text":"Bonjour"}')
    SpeechMessages(Meter(0), SPEECH, entitled()).passed(b'{"type":"input_text.append","text":"Bonjour"}')
