"""Use is counted as it passes, never downward."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mistral_voice.broker.answers import ChatStream, WithoutKey, status_of_event, without
from mistral_voice.broker.metering import AudioFormat, AudioMeter, ChatMeter, Meter, estimated_tokens
from mistral_voice.contract.lease import Unit
from mistral_voice.contract.secret import Secret
from mistral_voice.runtime.redaction import STRUCK_OUT


def amounts(meter: Meter) -> dict[Unit, int]:
    return {amount.unit: amount.amount for amount in meter.usage(0).amounts}


@given(st.lists(st.integers(0, 5000), max_size=50), st.sampled_from(["pcm_s16le", "pcm_mulaw", "pcm_f32le"]))
def test_audio_is_counted_by_its_bytes_however_they_are_cut(pieces: list[int], encoding: str) -> None:
    meter = Meter(0)
    audio = AudioMeter(meter, "m")
    audio.agree(AudioFormat(encoding, 8000))
    for size in pieces:
        audio.append(size)
    width = {"pcm_s16le": 2, "pcm_mulaw": 1, "pcm_f32le": 4}[encoding]
    assert amounts(meter).get(Unit.AUDIO_MS, 0) == -(-sum(pieces) // (width * 8))


def chunks(*texts: str, usage: tuple[int, int] | None = None) -> bytes:
    events = [{"choices": [{"delta": {"content": text}}]} for text in texts]
    if usage is not None:
        events.append({"choices": [], "usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1]}})  # type: ignore[dict-item]
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events) + b"data: [DONE]\n\n"


def counted(body: bytes, cuts: list[int]) -> Meter:
    meter = Meter(0)
    chat = ChatMeter(meter, "m", 100)
    stream = ChatStream(chat)
    begin = 0
    for end in sorted({min(cut, len(body)) for cut in cuts} | {len(body)}):
        stream.passed(body[begin:end])
        begin = end
    stream.end()
    chat.close()
    return meter


@given(st.lists(st.integers(0, 500), max_size=20))
def test_tokens_are_those_that_mistral_tells_however_the_stream_is_cut(cuts: list[int]) -> None:
    meter = counted(chunks("Paris", " é", usage=(17, 5)), cuts)
    assert amounts(meter) == {Unit.INPUT_TOKENS: 17, Unit.OUTPUT_TOKENS: 5}
    assert not meter.estimated


def test_a_stream_without_usage_is_estimated_upward_and_marked() -> None:
    meter = counted(chunks("Paris is", " the capital of France.")[:-14], [])
    assert amounts(meter)[Unit.INPUT_TOKENS] == 100
    assert amounts(meter)[Unit.OUTPUT_TOKENS] == 11
    assert meter.estimated[Unit.OUTPUT_TOKENS] == 11


def test_a_second_usage_counts_nothing_more() -> None:
    assert amounts(counted(chunks("a", usage=(1, 1)) + chunks("b", usage=(1, 1)), []))[Unit.INPUT_TOKENS] == 1


def test_a_usage_that_grows_counts_as_far_as_it_has_grown() -> None:
    body = chunks("a", usage=(9, 1)) + chunks("b", usage=(9, 7)) + chunks("c", usage=(9, 3))
    assert amounts(counted(body, [])) == {Unit.INPUT_TOKENS: 9, Unit.OUTPUT_TOKENS: 7}


@pytest.mark.parametrize("garbage", [b"data: {\n", b"data: [1]\n", b"\xff\xfe\n", b"data:" + b"[" * 5000 + b"\n", b"x" * 3_000_000])
def test_what_is_no_answer_breaks_nothing(garbage: bytes) -> None:
    assert amounts(counted(garbage, [10]))[Unit.INPUT_TOKENS] == 100


def test_a_text_counts_by_its_bytes_whatever_it_begins_with() -> None:
    assert estimated_tokens("abcdefghi") == 3
    assert estimated_tokens({"type": "image_url", "image_url": "data:image/png;base64," + "A" * 30_000}) > 10_000


@pytest.mark.parametrize(
    ("frame", "status"),
    [
        ({"type": "error", "error": {"message": "no", "code": 401}}, 401),
        ({"type": "error", "error": {"message": "no", "code": 3804}}, None),
        ({"type": "error", "error": "no"}, None),
        ({"type": "transcription.text.delta", "text": '"error" 401'}, None),
    ],
)
def test_an_error_event_says_what_a_status_says(frame: object, status: int | None) -> None:
    assert status_of_event(json.dumps(frame).encode()) == status


def test_a_key_that_mistral_sends_back_is_struck_out() -> None:
    assert b"the-key" not in without(Secret("the-key"), b'{"message":"Incorrect API key the-key."}')


@pytest.mark.parametrize("size", [1, 2, 5, 7, 100])
def test_a_key_in_a_body_is_struck_out_in_whatever_pieces_it_comes_and_nothing_else_is_lost(size: int) -> None:
    struck = WithoutKey(Secret("the-key"))
    body = b"data: the-the-key is the-ke, the-keythe-key\n\ndata: the-k"
    passed = b"".join(struck.passed(body[at : at + size]) for at in range(0, len(body), size)) + struck.end()
    assert passed == body.replace(b"the-key", STRUCK_OUT.encode())
