"""Sessions that only transcribe."""

from mistral_voice.gateway.session import commands, events, inputs
from mistral_voice.gateway.session.config import SessionPatch, SessionType, Transcription, TranscriptionPatch, TurnDetectionPatch
from tests.support.session import Desk, a_policy, names
from tests.support.speaking import spoken_turn

TRANSCRIPTION = SessionPatch(type=SessionType.TRANSCRIPTION)


def test_a_turn_gives_its_transcript_and_no_reply() -> None:
    desk = Desk(wishes=TRANSCRIPTION)
    assert desk.last(events.SessionCreated).session.config.type is SessionType.TRANSCRIPTION
    turn = spoken_turn(desk)
    desk.give(inputs.TranscriptDelta(turn, "Hello"), inputs.TranscriptDone(turn, "Hello there."))
    assert names(desk.outputs) == [
        "SessionCreated",
        "SpeechStarted",
        "SpeechStopped",
        "AudioCommitted",
        "ItemAdded",
        "ItemDone",
        "TranscriptionDelta",
        "TranscriptionCompleted",
    ]
    assert not desk.all(commands.PrepareSpeech)


def test_a_lost_transcript_fails_without_a_reply() -> None:
    desk = Desk(wishes=TRANSCRIPTION)
    spoken_turn(desk)
    desk.wait(10_000)
    assert desk.all(events.TranscriptionFailed)
    assert not desk.all(events.ResponseCreated)


def test_a_response_is_refused() -> None:
    desk = Desk(wishes=TRANSCRIPTION)
    desk.give(inputs.CreateResponse())
    assert desk.last(events.ErrorOccurred).code == "not_available"


def test_its_transcription_can_not_be_switched_off() -> None:
    desk = Desk(wishes=TRANSCRIPTION)
    desk.give(inputs.UpdateSession(SessionPatch(transcription=TranscriptionPatch(language="fr"))))
    desk.give(inputs.UpdateSession(SessionPatch(transcription=None, turn_detection=TurnDetectionPatch(create_response=True))))
    config = desk.last(events.SessionUpdated).session.config
    assert config.transcription == Transcription()
    assert config.turn_detection is not None
    assert not config.turn_detection.create_response


def test_the_type_is_chosen_before_anything_happens() -> None:
    desk = Desk()
    desk.give(inputs.UpdateSession(TRANSCRIPTION), inputs.UpdateSession(SessionPatch(type=SessionType.REALTIME)))
    assert desk.last(events.SessionUpdated).session.config == a_policy().defaults()
    spoken_turn(desk)
    desk.give(inputs.UpdateSession(TRANSCRIPTION))
    assert desk.last(events.ErrorOccurred).code == "cannot_update_type"


def test_a_client_secret_for_transcripts_gives_nothing_else() -> None:
    desk = Desk(a_policy().beginning_with(TRANSCRIPTION))
    desk.give(inputs.UpdateSession(SessionPatch(type=SessionType.REALTIME)))
    assert (desk.last(events.ErrorOccurred).code, desk.last(events.ErrorOccurred).param) == ("fixed_by_client_secret", "session.type")
