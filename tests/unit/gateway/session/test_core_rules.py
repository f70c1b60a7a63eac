"""The session's rules hold whatever the order of its inputs: a rule-based state machine plays client, detector, upstreams and clock."""

from typing import Any

import hypothesis.strategies as st
import msgspec
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from mistral_voice.gateway.session import commands, events, inputs
from mistral_voice.gateway.session.config import (
    Eagerness,
    OutputModality,
    SessionPatch,
    SessionType,
    TranscriptionPatch,
    TurnDetectionKind,
    TurnDetectionPatch,
)
from mistral_voice.gateway.session.errors import Fault
from mistral_voice.gateway.session.items import FunctionCall, FunctionOutput, Item, Message, Part, PartKind, Role
from mistral_voice.gateway.session.playout import LEAD_MS
from mistral_voice.mistral.stream.chat_request import ChatTool, OneTool
from mistral_voice.mistral.stream.errors import FaultKind
from mistral_voice.mistral.stream.turn_events import TurnSign
from tests.support.session import AT_ONCE_MS, MS, Desk, a_policy

_FAULT = Fault(FaultKind.UNAVAILABLE, "It broke.")
TOOL = ChatTool("f", "", msgspec.Raw(b"{}"))
CALL_AND_RESULT = (FunctionCall("a", "call_a", "f", "{}"), FunctionOutput("b", "call_a", "42"))
_TEXTS = st.sampled_from(["", " ", "Hello", "Hello there, my good friend. ", "One. Two! Three? ", "🙂 ", "**", "no end in sight "])


class Conversations(RuleBasedStateMachine):
    """Any sequence of events."""

    steps = 0

    @initialize(
        manual=st.booleans(),
        duration_ms=st.sampled_from([60_000, 60_000, 5_000]),
        lead_ms=st.sampled_from([AT_ONCE_MS, LEAD_MS]),
        resumes=st.sampled_from([True, True, False]),
        kind=st.sampled_from([*[SessionType.REALTIME] * 3, SessionType.TRANSCRIPTION]),
    )
    def begin(self, manual: bool, duration_ms: int, lead_ms: float, resumes: bool, kind: SessionType) -> None:
        policy = a_policy(manual_turns_only=manual, max_duration_ms=duration_ms, lead_ms=lead_ms, resume_after_false_interruption=resumes)
        self.desk = Desk(policy, SessionPatch(type=kind))

    def _turns(self) -> list[str]:
        return [command.item_id for command in self.desk.all(commands.StartTurn)] or ["item_none"]

    def _responses(self) -> list[str]:
        created = [event.response.id for event in self.desk.all(events.ResponseCreated)]
        speculated = [command.reply_id for command in self.desk.all(commands.Speculate)]
        return [*created, *speculated] or ["resp_none"]

    def _epoch(self) -> int:
        return self.desk.last(commands.Detect).epoch

    @rule(length_ms=st.sampled_from([0, 20, 100, 900]), odd=st.booleans())
    def client_appends(self, length_ms: int, odd: bool) -> None:
        self.desk.give(inputs.AppendAudio(MS * length_ms + (b"\0" if odd else b"")))

    @rule()
    def client_commits(self) -> None:
        self.desk.give(inputs.CommitAudio())

    @rule()
    def client_clears(self) -> None:
        self.desk.give(inputs.ClearAudio())

    def _item_ids(self) -> list[str]:
        return [event.item.id for event in self.desk.all(events.ItemAdded)] or ["nobody"]

    @rule(data=st.data(), text_only=st.booleans(), out_of_band=st.booleans(), tools=st.sampled_from([None, (), (TOOL,)]))
    def client_asks(self, data: st.DataObject, text_only: bool, out_of_band: bool, tools: tuple[ChatTool, ...] | None) -> None:
        own = (*CALL_AND_RESULT, inputs.ItemReference(data.draw(st.sampled_from(self._item_ids()))))
        options = inputs.ResponseOptions(
            output=OutputModality.TEXT if text_only else None,
            out_of_band=out_of_band,
            tools=tools,
            input=data.draw(st.sampled_from([None, None, (), own])),
        )
        self.desk.give(inputs.CreateResponse(options))

    @precondition(lambda self: self.desk.ledger.live or self.desk.now_ms > 3_000)
    @rule(data=st.data())
    def client_cancels(self, data: st.DataObject) -> None:
        self.desk.give(inputs.CancelResponse(data.draw(st.sampled_from([None, self._responses()[-1]]))))

    @rule(data=st.data(), after=st.sampled_from([None, "root"]))
    def client_adds_a_call_or_a_result(self, data: st.DataObject, after: str | None) -> None:
        calls = [event.call_id for event in self.desk.all(events.ArgumentsDone)] or ["call"]
        call_id = data.draw(st.sampled_from(calls))
        items: list[Item] = [FunctionOutput("", call_id, "42"), FunctionOutput("", call_id, ""), FunctionCall("", "", "f", "{")]
        self.desk.give(inputs.CreateItem(data.draw(st.sampled_from(items)), after))

    @rule(data=st.data(), item_id=st.sampled_from(["", "mine"]), after=st.sampled_from([None, "root", "mine", "nobody"]))
    def client_adds_an_item(self, data: st.DataObject, item_id: str, after: str | None) -> None:
        role = data.draw(st.sampled_from(list(Role)))
        kind = PartKind.OUTPUT_TEXT if role is Role.ASSISTANT else PartKind.INPUT_TEXT
        self.desk.give(inputs.CreateItem(Message(item_id, role, (Part(kind, "text"),)), after))

    @rule(data=st.data(), end_ms=st.sampled_from([0, 50, 10_000]))
    def client_handles_items(self, data: st.DataObject, end_ms: int) -> None:
        item_id = data.draw(st.sampled_from(self._item_ids()))
        choices: list[inputs.ClientInput] = [
            inputs.DeleteItem(item_id),
            inputs.RetrieveItem(item_id),
            inputs.TruncateItem(item_id, 0, end_ms),
        ]
        self.desk.give(data.draw(st.sampled_from(choices)))

    @rule(
        detection=st.sampled_from(
            [
                None,
                TurnDetectionPatch(),
                TurnDetectionPatch(kind=TurnDetectionKind.SEMANTIC_VAD),
                TurnDetectionPatch(kind=TurnDetectionKind.SEMANTIC_VAD, eagerness=Eagerness.HIGH, interrupt_response=False),
                TurnDetectionPatch(interrupt_response=False),
                TurnDetectionPatch(idle_timeout_ms=1000),
                TurnDetectionPatch(create_response=False, interrupt_response=True),
            ]
        )
    )
    def client_changes_detection(self, detection: TurnDetectionPatch | None) -> None:
        self.desk.give(inputs.UpdateSession(SessionPatch(turn_detection=detection)))

    @rule(
        patch=st.sampled_from(
            [
                SessionPatch(transcription=TranscriptionPatch()),
                SessionPatch(transcription=None),
                SessionPatch(voice="v2"),
                SessionPatch(tools=(TOOL,), tool_choice=OneTool("f")),
                SessionPatch(type=SessionType.TRANSCRIPTION),
            ]
        )
    )
    def client_changes_settings(self, patch: SessionPatch) -> None:
        self.desk.give(inputs.UpdateSession(patch))

    @rule(stale=st.booleans())
    def voice_is_suspected(self, stale: bool) -> None:
        self.desk.give(inputs.VoiceSuspected(self._epoch() - stale))

    @rule(stale=st.booleans())
    def voice_is_dismissed(self, stale: bool) -> None:
        self.desk.give(inputs.VoiceDismissed(self._epoch() - stale))

    @rule(words=st.sampled_from(["", "Mhm.", "Here is a sentence, not a short one.", "Stop!"]))
    def a_reply_is_interrupted(self, words: str) -> None:
        """For nothing, or not."""
        desk = self.desk
        for _ in range(3):
            self._the_next_thing_goes_well(1)
        desk.give(inputs.AppendAudio(MS * 900), inputs.VoiceSuspected(self._epoch()), inputs.VoiceStarted(0, self._epoch()))
        desk.give(inputs.VoiceStopped(900, self._epoch()))
        for turn in desk.all(commands.FinishTurn)[-1:]:
            desk.give(inputs.TranscriptDone(turn.item_id, words))

    @rule(at_ms=st.integers(0, 5000), stale=st.booleans())
    def voice_starts(self, at_ms: int, stale: bool) -> None:
        self.desk.give(inputs.VoiceStarted(at_ms, self._epoch() - stale))

    @rule(at_ms=st.integers(0, 5000), stale=st.booleans())
    def voice_stops(self, at_ms: int, stale: bool) -> None:
        self.desk.give(inputs.VoiceStopped(at_ms, self._epoch() - stale))

    @rule(data=st.data(), sign=st.sampled_from(list(TurnSign)), at_ms=st.integers(-10, 5000))
    def transcription_tells_of_the_turn(self, data: st.DataObject, sign: TurnSign, at_ms: int) -> None:
        self.desk.give(inputs.TurnEvent(data.draw(st.sampled_from(self._turns()[-2:])), sign, at_ms))

    @rule(data=st.data())
    def transcription_has_no_turns(self, data: st.DataObject) -> None:
        self.desk.give(inputs.TurnEventsMissing(data.draw(st.sampled_from(self._turns()[-2:]))))

    @rule(data=st.data(), text=_TEXTS)
    def transcription_says(self, data: st.DataObject, text: str) -> None:
        item_id = data.draw(st.sampled_from(self._turns()))
        choices: list[Any] = [
            inputs.TranscriptDelta(item_id, text),
            inputs.TranscriptDone(item_id, text),
            inputs.TranscriptDone(item_id),
            inputs.TranscriptRestarted(item_id),
            inputs.TranscriptFailed(item_id, _FAULT),
        ]
        self.desk.give(data.draw(st.sampled_from(choices)))

    @rule(data=st.data(), text=_TEXTS, reason=st.sampled_from(["stop", "stop", "length", "error", "content_filter"]))
    def chat_says(self, data: st.DataObject, text: str, reason: str) -> None:
        response_id = data.draw(st.sampled_from(self._responses()))
        choices: list[Any] = [
            inputs.ReplyText(response_id, text),
            inputs.ReplyText(response_id, text),
            inputs.ReplyCall(response_id, 0, "f", text),
            inputs.ReplyCall(response_id, 1, "g", '{"a": 1}'),
            inputs.ReplyFinished(response_id, reason, inputs.Usage(1, 0, 1)),
            inputs.ReplyFailed(response_id, _FAULT),
        ]
        self.desk.give(data.draw(st.sampled_from(choices)))

    @rule(data=st.data(), segment=st.integers(0, 3))
    def speech_says(self, data: st.DataObject, segment: int) -> None:
        response_id = data.draw(st.sampled_from(self._responses()))
        choices: list[Any] = [
            inputs.SpeechAudio(response_id, segment, MS * 100),
            inputs.SpeechAudio(response_id, segment, MS * 3000),
            inputs.SpeechFinished(response_id, segment, 3),
            inputs.SpeechFinished(response_id, segment, 3),
            inputs.SpeechFailed(response_id, _FAULT),
        ]
        self.desk.give(data.draw(st.sampled_from(choices)))

    def _the_next_thing_goes_well(self, segments: int) -> None:
        """What an untroubled upstream would do next."""
        desk = self.desk
        for item_id in {command.item_id for command in desk.all(commands.FinishTurn)}:
            desk.give(inputs.TranscriptDone(item_id, "Words."))
        live = desk.ledger.live
        if live is None:
            return
        speaks = [command for command in desk.all(commands.Speak) if command.response_id == live]
        if not speaks:
            desk.give(inputs.ReplyText(live, "Here is a sentence, not a short one. And here is another. "))
            return
        for command in speaks[:segments]:
            desk.give(inputs.SpeechAudio(live, command.segment, MS * 300))
            desk.give(inputs.SpeechFinished(live, command.segment))
        if segments > 1:
            desk.give(inputs.ReplyFinished(live, "stop"))

    @rule(text=_TEXTS, calls=st.integers(1, 2), answered=st.booleans())
    def a_reply_calls_functions(self, text: str, calls: int, answered: bool) -> None:
        live = self.desk.ledger.live
        if live is None:
            return
        self.desk.give(inputs.ReplyText(live, text))
        for number in range(calls):
            self.desk.give(inputs.ReplyCall(live, number, "f", '{"a": 1}'))
        self.desk.give(inputs.ReplyFinished(live, "tool_calls", inputs.Usage(1, 0, 1)))
        if answered:
            call_ids = [event.call_id for event in self.desk.all(events.ArgumentsDone) if event.response_id == live]
            self.desk.give(*(inputs.CreateItem(FunctionOutput("", call_id, "42")) for call_id in call_ids), inputs.CreateResponse())

    @rule(segments=st.integers(0, 2))
    def something_goes_well(self, segments: int) -> None:
        self._the_next_thing_goes_well(segments)

    @rule()
    def all_goes_well(self) -> None:
        for _ in range(3):
            self._the_next_thing_goes_well(2)

    @rule(length_ms=st.sampled_from([300, 900]))
    def a_turn_is_spoken(self, length_ms: int) -> None:
        self.desk.give(inputs.VoiceStarted(0, self._epoch()))
        self.desk.give(inputs.AppendAudio(MS * length_ms))
        self.desk.give(inputs.VoiceStopped(length_ms, self._epoch()))
        self.desk.give(inputs.CommitAudio())

    @rule(ending=st.sampled_from(["kept", "other words", "resumed", "no words"]))
    def a_turn_ends_by_what_is_said(self, ending: str) -> None:
        """A turn under semantic detection, with an eager end long enough for a speculation."""
        desk = self.desk
        desk.give(inputs.UpdateSession(SessionPatch(turn_detection=TurnDetectionPatch(kind=TurnDetectionKind.SEMANTIC_VAD))))
        desk.give(inputs.AppendAudio(MS * 900), inputs.VoiceStarted(0, self._epoch()))
        item_id = self._turns()[-1]
        desk.give(inputs.TranscriptDelta(item_id, "Hello"), inputs.TurnEvent(item_id, TurnSign.EAGER_END, 800))
        desk.wait(100)
        if ending == "resumed":
            desk.give(inputs.TurnEvent(item_id, TurnSign.RESUME, 850))
            return
        if ending == "other words":
            desk.give(inputs.TranscriptDelta(item_id, " again"))
        desk.give(inputs.TurnEvent(item_id, TurnSign.END, 900))
        if ending != "no words":
            desk.give(inputs.TranscriptDone(item_id))

    @rule(milliseconds=st.sampled_from([1, 100, 900]))
    def time_passes(self, milliseconds: int) -> None:
        self.desk.wait(milliseconds)

    @precondition(lambda self: self.desk.now_ms > 4_000)
    @rule()
    def gateway_drains(self) -> None:
        self.desk.give(inputs.Drain())

    @invariant()
    def a_transcription_session_only_listens(self) -> None:
        if not hasattr(self, "desk"):
            return
        created, updated = self.desk.all(events.SessionCreated), self.desk.all(events.SessionUpdated)
        view = updated[-1].session if updated else created[-1].session
        assert view.config.type is SessionType.REALTIME or not self.desk.all(events.ResponseCreated)

    @invariant()
    def a_step_counts(self) -> None:
        Conversations.steps += 1

    @invariant()
    def a_deadline_is_ahead(self) -> None:
        if hasattr(self, "desk") and not self.desk.session.has_ended:
            assert self.desk.session.deadline_ms > self.desk.now_ms

    def teardown(self) -> None:
        """In the end everything that began has ended, exactly once; the ledger has watched."""
        if hasattr(self, "desk"):
            self.desk.wait(200_000)
            assert self.desk.session.has_ended
            assert self.desk.ledger.ended
            assert not self.desk.ledger.open_things


_SETTINGS = settings(
    max_examples=260,
    stateful_step_count=60,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def test_any_sequence_of_events_keeps_the_rules() -> None:
    run_state_machine_as_test(Conversations, settings=_SETTINGS)
    assert Conversations.steps >= 10_000
