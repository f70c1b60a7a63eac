"""When speech begins and ends, by the probabilities of frames."""

import hypothesis.strategies as st
from hypothesis import given

from mistral_voice.gateway.session.config import ServerVad
from mistral_voice.gateway.vad.endpointer import FRAME_MS, Dismissed, Endpointer, Sign, Started, Stopped, Suspected
from mistral_voice.gateway.vad.gate import HANGOVER_FRAMES, EnergyGate


def signs(probabilities: list[float], settings: ServerVad | None = None, *, begins_ms: int = 0, guarded: bool = False) -> list[Sign]:
    endpointer = Endpointer(settings or ServerVad(), begins_ms)
    endpointer.guarded = guarded
    return [event for probability in probabilities if (event := endpointer.frame(probability)) is not None]


def run(probabilities: list[float], settings: ServerVad | None = None, begins_ms: int = 0) -> list[Started | Stopped]:
    return [sign for sign in signs(probabilities, settings, begins_ms=begins_ms) if isinstance(sign, Started | Stopped)]


def test_speech_begins_with_its_first_voiced_frame_and_ends_after_the_silence() -> None:
    events = run([0.1] * 10 + [0.9] * 20 + [0.1] * 40)
    start_ms, silence_begins_ms = 10 * FRAME_MS, 30 * FRAME_MS
    assert events[0] == Started(start_ms)
    assert isinstance(events[1], Stopped)
    assert 500 <= events[1].at_ms - silence_begins_ms < 500 + FRAME_MS
    assert len(events) == 2


def test_a_click_is_no_speech() -> None:
    assert run(([0.9] * 2 + [0.1] * 5) * 10) == []


def test_one_doubtful_frame_does_not_hide_the_beginning() -> None:
    assert run([0.1, 0.9, 0.3, 0.9, 0.9])[0] == Started(FRAME_MS)


def test_a_pause_shorter_than_the_silence_does_not_end_the_turn() -> None:
    assert len(run([0.9] * 10 + [0.1] * 10 + [0.9] * 10)) == 1


def test_speech_goes_on_a_little_below_the_threshold() -> None:
    assert len(run([0.9] * 5 + [0.4] * 60)) == 1
    assert len(run([0.9] * 5 + [0.3] * 60)) == 2


def test_the_clients_settings_count() -> None:
    assert run([0.6] * 10, ServerVad(threshold=0.8)) == []
    stopped = run([0.9] * 10 + [0.0] * 100, ServerVad(silence_duration_ms=1500))[1]
    assert isinstance(stopped, Stopped)
    assert stopped.at_ms - 10 * FRAME_MS >= 1500


def test_positions_count_from_where_detection_began() -> None:
    assert run([0.9] * 3, begins_ms=5000)[0] == Started(5000)


def test_speech_that_a_former_detector_heard_begin_is_ended() -> None:
    endpointer = Endpointer(ServerVad(silence_duration_ms=320), 5000, speaking=True)
    assert [endpointer.frame(0.0) for _ in range(10)] == [*[None] * 9, Stopped(5320)]
    assert [endpointer.frame(0.0) for _ in range(20)] == [None] * 20


def test_the_first_voiced_frame_is_told_and_what_comes_of_it() -> None:
    assert signs([0.1, 0.9, 0.9, 0.9]) == [Suspected(), Started(FRAME_MS)]
    assert signs([0.1, 0.9, 0.1, 0.1, 0.1, 0.9]) == [Suspected(), Dismissed(), Suspected()]


def test_while_the_assistant_speaks_speech_takes_longer_to_be_believed() -> None:
    cough = [0.95] * 5 + [0.1] * 3
    assert Started(0) in signs(cough)
    assert signs(cough, guarded=True) == [Suspected(), Dismissed()]
    word = [0.1] + [0.95] * 7
    assert signs(word, guarded=True) == [Suspected(), Started(FRAME_MS)]
    assert Started(FRAME_MS) not in signs(word[:-1], guarded=True)


def test_while_the_assistant_speaks_a_doubtful_voice_is_none() -> None:
    assert signs([0.6] * 20, guarded=True) == []
    assert signs([0.6] * 20)[-1] == Started(0)
    assert signs([0.92] * 20, ServerVad(threshold=0.9), guarded=True)[-1] == Started(0)
    assert signs([0.97] * 20, ServerVad(threshold=0.95), guarded=True)[-1] == Started(0)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=80))
def test_each_suspicion_is_resolved_before_the_next(frames: list[tuple[float, bool]]) -> None:
    endpointer, open_suspicion = Endpointer(ServerVad(), 0), False
    for probability, guarded in frames:
        endpointer.guarded = guarded
        match endpointer.frame(probability):
            case Suspected():
                assert not open_suspicion
                open_suspicion = True
            case Started() | Dismissed():
                assert open_suspicion
                open_suspicion = False
            case _:
                pass


def test_the_gate_opens_at_sound_and_stays_open_through_a_pause() -> None:
    gate = EnergyGate()
    assert not gate.opens(20.0**2)
    assert gate.opens(1000.0**2)
    assert all(gate.opens(0.0) for _ in range(HANGOVER_FRAMES - 1))
    assert not gate.opens(0.0)
