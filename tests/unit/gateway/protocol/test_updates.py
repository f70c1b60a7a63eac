"""Updates as clients write them: a refused one changes nothing, a partial one changes only what it names."""

import json
from typing import Any

import hypothesis.strategies as st
from hypothesis import given

from mistral_voice.gateway.protocol.client_events import BadEventError, decode
from mistral_voice.gateway.protocol.session_object import wire_session
from mistral_voice.gateway.session import commands, events, inputs
from mistral_voice.gateway.session.config import SessionPatch
from tests.support.session import Desk, a_policy

TOOL = {"type": "function", "name": "f", "parameters": {"type": "object"}}
FIELDS: dict[str, list[Any]] = {
    "type": ["realtime", "translation", 7],
    "model": ["m2", "gpt-realtime", "mistral-gigantic", None],
    "instructions": ["Be kind.", "", None, "x" * 100_001, 7],
    "output_modalities": [["text"], ["audio"], ["audio", "text"], [], None],
    "max_output_tokens": [5, "inf", 0, 5000, "many", None],
    "tools": [[], [TOOL], [TOOL, TOOL], [{"type": "mcp", "server_label": "x"}], None],
    "tool_choice": ["auto", "required", {"type": "function", "name": "f"}, {"type": "function", "name": "g"}, "never", None],
    "parallel_tool_calls": [True, False, None, "yes"],
    "audio.input.format": [{"type": "audio/pcm", "rate": 24000}, {"type": "audio/pcmu"}, {"type": "audio/opus"}, {"rate": 8000}, None],
    "audio.input.transcription": [
        {"model": "whisper-1", "language": "fr"},
        {"language": "en-GB"},
        {"language": "english"},
        {"language": None},
        {},
        None,
        {"language": 7},
    ],
    "audio.input.noise_reduction": [{"type": "near_field"}, None, "any"],
    "audio.input.turn_detection": [
        {"type": "server_vad", "threshold": 0.7},
        {"silence_duration_ms": 900, "create_response": False},
        {"type": "semantic_vad", "eagerness": "high"},
        {"threshold": 7},
        {"type": "telepathy"},
        None,
    ],
    "audio.output.voice": ["v2", "alloy", {"id": "v"}, "somebody", None, 7],
    "audio.output.speed": [1.5, None, "fast"],
    "prompt": [{"id": "p"}, None],
    "tracing": ["auto", {"workflow_name": "w"}, None],
    "whatever": [1],
}


@st.composite
def updates(draw: st.DrawFn) -> dict[str, Any]:
    """A session object with any of the fields, as a client nests them."""
    session: dict[str, Any] = {}
    for path in draw(st.lists(st.sampled_from(list(FIELDS)), max_size=5, unique=True)):
        *parents, name = path.split(".")
        place = session
        for parent in parents:
            place = place.setdefault(parent, {})
        place[name] = draw(st.sampled_from(FIELDS[path]))
    return session


def in_force(desk: Desk) -> dict[str, Any]:
    """The session as an update that names nothing shows it."""
    desk.give(inputs.UpdateSession(SessionPatch()))
    shown: dict[str, Any] = json.loads(
        json.dumps(wire_session(desk.last(events.SessionUpdated).session), default=lambda raw: bytes(raw).decode())
    )
    return shown


def send(desk: Desk, session: dict[str, Any]) -> bool:
    """Send an update as text; returns whether it was accepted."""
    try:
        event = decode(json.dumps({"type": "session.update", "session": session}).encode())
    except BadEventError:
        return False
    before = len(desk.all(events.ErrorOccurred))
    desk.give(event)
    return len(desk.all(events.ErrorOccurred)) == before


@given(first=updates(), refused=updates(), talking=st.booleans())
def test_a_refused_update_changes_nothing(first: dict[str, Any], refused: dict[str, Any], talking: bool) -> None:
    desk = Desk(a_policy())
    send(desk, first)
    if talking:
        desk.give(inputs.AppendAudio(bytes(9600)), inputs.VoiceStarted(0, desk.last(commands.Detect).epoch))
    before, outputs = in_force(desk), len(desk.outputs)
    if not send(desk, refused):
        assert in_force(desk) == before
        done = [type(output).__name__ for output in desk.outputs[outputs:]]
        assert set(done) <= {"ErrorOccurred", "SessionUpdated"}


@given(first=updates(), second=updates())
def test_an_update_changes_only_what_it_names(first: dict[str, Any], second: dict[str, Any]) -> None:
    desk = Desk(a_policy())
    send(desk, first)
    before = in_force(desk)
    if not send(desk, second):
        return
    after = in_force(desk)
    for path in FIELDS:
        *parents, name = path.split(".")
        named, old, new = second, before, after
        for parent in parents:
            named, old, new = named.get(parent, {}), old[parent], new[parent]
        if name not in named and name in old:
            assert new[name] == old[name], path


@given(session=updates())
def test_an_accepted_update_shows_what_is_in_force_and_sending_that_again_changes_nothing(session: dict[str, Any]) -> None:
    desk = Desk(a_policy())
    send(desk, session)
    shown = in_force(desk)
    assert send(desk, {**shown, "tools": [TOOL for _ in shown["tools"]]}), desk.all(events.ErrorOccurred)
    assert in_force(desk) == shown
