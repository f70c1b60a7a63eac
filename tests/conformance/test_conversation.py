"""What people do with their client, whichever it is: they speak, write, interrupt, and change their instructions."""

from pathlib import Path

from tests.conformance.conftest import ANSWER, ANSWER_HZ, MS_A_CHARACTER, QUESTION, STORY, UMBRELLA
from tests.conformance.libraries import Library
from tests.conformance.person import calling
from tests.conformance.recorder import Recorder
from tests.support.simulator import SimulatorHandle
from tests.support.speech import silence, speech
from tests.support.waiting import eventually

LONGEST_WORD = 10
REFUSAL = "Cancellation failed: there is no active response."


async def test_a_spoken_question_is_heard_and_answered_aloud(library: Library, recorder: Recorder, tmp_path: Path) -> None:
    async with calling(library, recorder, tmp_path) as person:
        await person.sees("connected")
        await person.speak(speech(QUESTION) + silence(1200))
        assert (await person.sees("heard"))["text"] == QUESTION
        await person.is_told(ANSWER)
        assert await person.leaves() == 0
    assert person.all("trouble") == []
    assert len(person.sound()) / 48 >= len(ANSWER) * 19
    assert person.tone_hz() == ANSWER_HZ


async def test_a_written_question_is_answered(library: Library, recorder: Recorder, mistral: SimulatorHandle, tmp_path: Path) -> None:
    async with calling(library, recorder, tmp_path) as person:
        await person.sees("connected")
        await person.write("Where is Paris?")
        await person.is_told(ANSWER)
        await person.write("And where is Rome?")
        await person.is_told(ANSWER)
        assert await person.leaves() == 0
    assert person.all("trouble") == []
    messages = (await mistral.requests(endpoint="chat"))[-1]["body"]["messages"]
    assert [message["content"] for message in messages[1:]] == ["Where is Paris?", ANSWER, "And where is Rome?"]


async def test_new_instructions_are_in_force_from_the_next_reply_on(
    library: Library, recorder: Recorder, mistral: SimulatorHandle, tmp_path: Path
) -> None:
    async with calling(library, recorder, tmp_path) as person:
        await person.sees("connected")
        await person.do("instruct", text="Speak like a pirate.")
        await eventually(lambda: recorder.instructions == "Speak like a pirate.", "the new instructions")
        await person.write("Where is Paris?")
        await person.sees("said")
        await person.leaves()
    assert person.all("trouble") == []
    system = (await mistral.requests(endpoint="chat"))[-1]["body"]["messages"][0]
    assert system["role"] == "system"
    assert "Speak like a pirate." in system["content"]


async def test_a_function_is_called_and_its_result_spoken(library: Library, recorder: Recorder, tmp_path: Path) -> None:
    async with calling(library, recorder, tmp_path, "tools") as person:
        await person.sees("connected")
        await person.write("How is the weather in Paris?")
        tool = await person.sees("tool")
        assert (tool["name"], tool["arguments"]) == ("weather", {"city": "Paris"})
        await person.is_told(UMBRELLA)
        await person.write("Where is Paris?")
        await person.is_told(ANSWER)
        assert await person.leaves() == 0
    assert len(person.all("tool")) == 1
    assert person.all("trouble") == []
    assert person.sound()


async def test_a_refused_request_is_told_and_the_talk_goes_on(library: Library, recorder: Recorder, tmp_path: Path) -> None:
    async with calling(library, recorder, tmp_path) as person:
        await person.sees("connected")
        await person.do("blunder")
        if library.tells_of_refusals:
            assert (await person.sees("trouble"))["text"] == REFUSAL
        await person.write("Where is Paris?")
        await person.is_told(ANSWER)
        assert await person.leaves() == 0
    assert recorder.call.all_received("error")[0]["error"]["message"] == REFUSAL
    assert len(person.all("trouble")) == (1 if library.tells_of_refusals else 0)


async def test_an_interrupted_reply_is_remembered_as_far_as_it_was_heard(
    library: Library, recorder: Recorder, mistral: SimulatorHandle, tmp_path: Path
) -> None:
    async with calling(library, recorder, tmp_path) as person:
        await person.sees("connected")
        await person.write("Tell me a long story!")
        await person.listens(2000)
        await person.speak(speech(QUESTION) + silence(1200))
        await person.sees("interrupted")
        await person.is_told(ANSWER)
        assert await person.leaves() == 0
    assert person.all("trouble") == []
    truncated = recorder.call.all_received("conversation.item.truncated")
    assert len(truncated) == 1
    messages = (await mistral.requests(endpoint="chat"))[-1]["body"]["messages"]
    story, question = messages[-2:]
    assert question["content"] == QUESTION
    assert STORY.startswith(story["content"].rstrip(" .…"))
    heard = truncated[0]["audio_end_ms"] / MS_A_CHARACTER
    assert 0 < len(story["content"]) < heard + LONGEST_WORD < len(STORY)


async def test_a_wrong_token_is_refused_with_401(library: Library, recorder: Recorder, tmp_path: Path) -> None:
    async with calling(library, recorder, tmp_path, token="wrong") as person:
        await eventually(lambda: "401" in person.story(), "the refusal to be shown")
    assert recorder.calls == []
