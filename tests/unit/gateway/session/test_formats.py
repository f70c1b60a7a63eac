"""Audio formats in a session: positions stay milliseconds, and a change falls between turns and between replies."""

from typing import Any

import pytest

from mistral_voice.gateway.session import commands, events, inputs
from mistral_voice.gateway.session.audio_format import AudioFormat
from mistral_voice.gateway.session.config import SessionPatch
from tests.support.session import MS, Desk, a_policy, message, only

TELEPHONE_MS = bytes(8)
"""A millisecond of µ-law or A-law."""


def use(desk: Desk, **formats: Any) -> list[object]:
    return list(desk.give(inputs.UpdateSession(SessionPatch(**formats))))


@pytest.mark.parametrize("law", [AudioFormat.PCMU, AudioFormat.PCMA])
def test_positions_are_milliseconds_in_every_format(law: AudioFormat) -> None:
    desk = Desk()
    use(desk, input_format=law)
    assert desk.last(commands.Detect).audio_format is law
    desk.give(inputs.AppendAudio(TELEPHONE_MS * 3000), inputs.VoiceStarted(400, 2), inputs.VoiceStopped(2000, 2))
    assert desk.last(events.SpeechStarted).audio_start_ms == 100
    assert desk.last(commands.FinishTurn).to_ms == 2000
    desk.give(inputs.CommitAudio())
    assert desk.last(commands.FinishTurn).to_ms == 3000


def test_a_telephones_samples_are_whole_bytes() -> None:
    desk = Desk()
    use(desk, input_format=AudioFormat.PCMU)
    desk.give(inputs.AppendAudio(b"\x01\x02\x03"))
    assert desk.last(commands.Hear).audio == b"\x01\x02\x03"


def test_a_change_between_turns_counts_from_there_and_forgets_what_came_before() -> None:
    desk = Desk()
    desk.give(inputs.AppendAudio(MS * 1000 + b"\0"))
    use(desk, input_format=AudioFormat.PCMU)
    assert (desk.last(commands.Detect).position_ms, desk.last(commands.Detect).epoch) == (1000, 2)
    desk.give(inputs.CommitAudio("too little"))
    assert desk.last(events.ErrorOccurred).code == "input_audio_buffer_commit_empty"
    desk.give(inputs.AppendAudio(TELEPHONE_MS * 500), inputs.VoiceStarted(1100, 2))
    assert desk.last(commands.StartTurn).from_ms == 1000
    desk.give(inputs.CommitAudio())
    assert desk.last(commands.FinishTurn).to_ms == 1500


def test_a_change_within_a_turn_is_refused_and_changes_nothing() -> None:
    desk = Desk(a_policy(manual_turns_only=True))
    desk.give(inputs.AppendAudio(MS * 500))
    produced = desk.give(inputs.UpdateSession(SessionPatch(input_format=AudioFormat.PCMU, instructions="Other."), "e1"))
    (error,) = only(events.ErrorOccurred, produced)
    assert (error.code, error.param, error.client_event_id) == ("cannot_update_audio_format", "session.audio.input.format", "e1")
    assert produced == [error]
    desk.give(inputs.UpdateSession(SessionPatch(input_format=AudioFormat.PCM)), inputs.CommitAudio())
    assert desk.last(events.SessionUpdated).session.config == a_policy(manual_turns_only=True).defaults()
    assert desk.last(commands.FinishTurn).to_ms == 500
    use(desk, input_format=AudioFormat.PCMU)
    assert desk.last(events.SessionUpdated).session.config.input_format is AudioFormat.PCMU


def test_a_reply_keeps_the_format_in_which_it_began() -> None:
    desk = Desk()
    use(desk, output_format=AudioFormat.PCMA)
    desk.give(inputs.CreateResponse())
    response_id = desk.last(events.ResponseCreated).response.id
    assert desk.last(events.ResponseCreated).response.audio_format is AudioFormat.PCMA
    desk.give(inputs.ReplyText(response_id, "Here is a sentence that is long enough. "))
    use(desk, output_format=AudioFormat.PCM)
    desk.give(inputs.ReplyText(response_id, "Here is another of them. "), inputs.ReplyFinished(response_id, "stop"))
    assert [speak.audio_format for speak in desk.all(commands.Speak)] == [AudioFormat.PCMA] * 2
    for speak in desk.all(commands.Speak):
        desk.give(inputs.SpeechAudio(response_id, speak.segment, TELEPHONE_MS * 500), inputs.SpeechFinished(response_id, speak.segment))
    item_id = desk.last(events.OutputItemAdded).item.id
    desk.give(inputs.TruncateItem(item_id, 0, 500))
    desk.give(inputs.RetrieveItem(item_id))
    assert message(desk.last(events.ItemRetrieved).item).text == "Here is a sentence that is long enough."
    desk.give(inputs.CreateResponse(inputs.ResponseOptions(output_format=AudioFormat.PCMU)))
    assert desk.last(events.ResponseCreated).response.audio_format is AudioFormat.PCMU
