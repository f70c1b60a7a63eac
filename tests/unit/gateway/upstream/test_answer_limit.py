"""However much the model writes, the reply ends."""

import pytest

from mistral_voice.gateway.upstream.answer_limit import MOST_CALLS, MOST_CHARACTERS, AnswerLimit
from mistral_voice.mistral.stream.chat import ChatCallPiece, ChatEnd, ChatPiece, ChatText
from tests.support.gateway import GatewayHandle
from tests.support.simulator import SimulatorHandle

CUT = ChatEnd("length", None)


@pytest.mark.parametrize(
    ("piece", "passes"),
    [
        (ChatText("x" * 100), MOST_CHARACTERS // 100),
        (ChatCallPiece(0, "", "x" * 50), MOST_CHARACTERS // 50),
        (ChatCallPiece(0, "", ""), MOST_CHARACTERS),
    ],
    ids=["text", "arguments", "empty pieces"],
)
def test_so_much_passes_and_no_more(piece: ChatPiece, passes: int) -> None:
    limit = AnswerLimit()
    assert all(limit.admit(piece) is piece for _ in range(passes))
    assert limit.admit(piece) == CUT


def test_one_call_too_many_ends_the_answer() -> None:
    limit = AnswerLimit()
    pieces = [ChatCallPiece(number, "f", "{}") for number in range(MOST_CALLS + 1)]
    assert [limit.admit(piece) for piece in pieces] == [*pieces[:-1], CUT]


def test_an_end_is_an_end() -> None:
    assert AnswerLimit().admit(ChatEnd("stop", None)) == ChatEnd("stop", None)


async def test_a_reply_without_end_is_cut_and_the_session_goes_on(gateway: GatewayHandle, mistral: SimulatorHandle) -> None:
    endless = {"tokens": ["blah " * 1000] * 200, "token_ms": 1}
    await mistral.put_script({"chat": {"replies": [endless, {"text": "Enough."}]}})
    async with gateway.connect() as client:
        await client.update(output_modalities=["text"])
        await client.send("response.create")
        cut = (await client.until("response.done"))["response"]
        assert (cut["status"], cut["status_details"]["reason"]) == ("incomplete", "max_output_tokens")
        assert len(cut["output"][0]["content"][0]["text"]) == MOST_CHARACTERS
        assert await gateway.metric("limits_hit_total", limit="reply") == 1
        await client.send("response.create")
        assert (await client.until("response.done"))["response"]["status"] == "completed"
