"""Speech is asked for as the caller hears it, and what has no end is ended."""

from mistral_voice.gateway.session import commands, events, inputs
from mistral_voice.gateway.session.events import ResponseStatus
from mistral_voice.mistral.stream.errors import FaultKind
from tests.support.session import MS, Desk, a_policy

SENTENCE = "This is a sentence of the same length as all the others around it. "
CLAUSES = 100
CLAUSE_MS = 4_000
MOST_AHEAD_MS = 30_000 + CLAUSE_MS + len(SENTENCE) * 65


def reply_of(desk: Desk, text: str) -> str:
    desk.give(inputs.CreateResponse())
    response_id = desk.last(events.ResponseCreated).response.id
    desk.give(inputs.ReplyText(response_id, text), inputs.ReplyFinished(response_id, "stop"))
    return response_id


def sent_ms(desk: Desk) -> int:
    return sum(len(delta.audio) for delta in desk.all(events.AudioDelta)) // len(MS)


def test_a_long_reply_is_spoken_as_it_is_heard_and_whole() -> None:
    desk = Desk(a_policy(lead_ms=1000.0, max_duration_ms=3_600_000))
    response_id = reply_of(desk, SENTENCE * CLAUSES)
    spoken = 0
    while not desk.all(events.ResponseDone):
        asked = desk.all(commands.Speak)
        assert bool(desk.all(commands.FinishSpeech)) is (len(asked) == CLAUSES)
        for clause in asked[spoken:]:
            desk.give(
                inputs.SpeechAudio(response_id, clause.segment, MS * CLAUSE_MS), inputs.SpeechFinished(response_id, clause.segment, 1)
            )
            assert clause.segment * CLAUSE_MS - sent_ms(desk) <= MOST_AHEAD_MS
        spoken = len(asked)
        desk.wait(500)
    assert [clause.segment for clause in desk.all(commands.Speak)] == list(range(CLAUSES))
    assert len(desk.all(commands.FinishSpeech)) == 1
    assert sent_ms(desk) == CLAUSES * CLAUSE_MS
    assert desk.last(events.ResponseDone).response.status is ResponseStatus.COMPLETED


def test_no_more_is_asked_for_than_can_be_heard_soon_while_none_has_come() -> None:
    desk = Desk()
    reply_of(desk, SENTENCE * CLAUSES)
    assert sum(len(clause.text) for clause in desk.all(commands.Speak)) * 65 <= MOST_AHEAD_MS
    text = "".join(delta.delta for delta in desk.all(events.TextDelta))
    assert len(text) == len(SENTENCE) * CLAUSES - 1, "the transcript doesn't wait"


def test_nothing_more_of_a_cancelled_reply_is_spoken() -> None:
    desk = Desk()
    response_id = reply_of(desk, SENTENCE * CLAUSES)
    asked = len(desk.all(commands.Speak))
    desk.give(inputs.CancelResponse(), inputs.SpeechAudio(response_id, 0, MS * 100), inputs.SpeechFinished(response_id, 0, 1))
    desk.wait(1_000)
    assert len(desk.all(commands.Speak)) == asked
    assert not desk.all(commands.FinishSpeech)


def test_a_clause_that_is_spoken_without_end_fails_its_reply() -> None:
    desk = Desk()
    response_id = reply_of(desk, "Yes.")
    for _ in range(13):
        desk.give(inputs.SpeechAudio(response_id, 0, MS * 1000))
    (done,) = desk.all(events.ResponseDone)
    assert done.response.status is ResponseStatus.FAILED
    assert done.response.fault is not None
    assert done.response.fault.kind is FaultKind.GARBLED
    assert desk.last(commands.DropReply).response_id == response_id
    assert sent_ms(desk) == 12_000


def test_an_address_that_takes_longer_to_guess_than_to_say_keeps_nothing_waiting() -> None:
    """Of the clause asked for last, a telephone is told the end only with what follows it, as the resampler holds its last sound back."""
    desk = Desk(a_policy(lead_ms=1000.0))
    address = f"https://example.com/{'a' * 1500} "
    response_id = reply_of(desk, address + SENTENCE)
    desk.give(inputs.SpeechAudio(response_id, 0, MS * CLAUSE_MS))
    desk.wait(CLAUSE_MS)
    assert [clause.segment for clause in desk.all(commands.Speak)] == [0, 1]
    assert len(desk.all(commands.FinishSpeech)) == 1
