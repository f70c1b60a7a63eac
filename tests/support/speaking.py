"""A caller who speaks once, and an assistant that answers, in a session without I/O."""

from mistral_voice.gateway.session import commands, events, inputs
from mistral_voice.gateway.session.config import SessionPatch, TranscriptionPatch
from tests.support.session import MS, Desk


def spoken_turn(desk: Desk, start_ms: int = 400, end_ms: int = 2000) -> str:
    """Let the caller speak once; returns the turn's item id."""
    epoch = desk.last(commands.Detect).epoch
    desk.give(inputs.AppendAudio(MS * (end_ms + 100)), inputs.VoiceStarted(start_ms, epoch), inputs.VoiceStopped(end_ms, epoch))
    return desk.last(commands.FinishTurn).item_id


def spoken_turn_of(desk: Desk) -> str:
    """As `spoken_turn`, by the first detector and with audio beyond it; returns the turn's item id."""
    epoch = 1
    desk.give(inputs.AppendAudio(MS * 3000), inputs.VoiceStarted(400, epoch), inputs.VoiceStopped(2000, epoch))
    return desk.last(commands.FinishTurn).item_id


def reply_of(desk: Desk, text: str = "A long enough first clause, and more.", finish: str = "stop") -> str:
    """Let the live reply be written and spoken; returns its id."""
    response_id = desk.last(events.ResponseCreated).response.id
    desk.give(inputs.ReplyText(response_id, text), inputs.ReplyFinished(response_id, finish, inputs.Usage(30, 10, 8)))
    for speak in desk.all(commands.Speak):
        if speak.response_id == response_id:
            desk.give(inputs.SpeechAudio(response_id, speak.segment, MS * 500), inputs.SpeechFinished(response_id, speak.segment, 25))
    return response_id


def see_transcripts(desk: Desk) -> None:
    """Ask for the transcripts of what the caller says."""
    desk.give(inputs.UpdateSession(SessionPatch(transcription=TranscriptionPatch())))
