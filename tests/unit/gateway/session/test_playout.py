"""How audio is paced to the client."""

import hypothesis.strategies as st
from hypothesis import given

from mistral_voice.gateway.session.audio_format import AudioFormat
from mistral_voice.gateway.session.playout import LEAD_MS, TOP_UP_MS, Playout
from tests.support.session import MS

SENT = list[tuple[float, int, bytes]]


def test_the_first_audio_goes_out_at_once() -> None:
    playout = Playout()
    playout.push(0, MS * 100)
    assert playout.release(5) == [(0, MS * 100)]
    assert playout.is_empty
    assert playout.plays_until_ms == 105


def test_a_large_piece_is_cut_so_that_the_lead_holds() -> None:
    playout = Playout()
    playout.push(0, MS * 5000)
    assert playout.release(0) == [(0, MS * 1000)]
    assert playout.deadline_ms == TOP_UP_MS
    assert not playout.release(TOP_UP_MS - 1)
    assert playout.release(TOP_UP_MS) == [(0, MS * 400)]
    assert playout.deadline_ms == 2 * TOP_UP_MS


def test_small_pieces_go_out_together_but_never_across_segments() -> None:
    playout = Playout()
    for segment in (0, 0, 1, 1):
        playout.push(segment, MS * 100)
    assert playout.release(0) == [(0, MS * 200), (1, MS * 200)]


def test_playback_begins_anew_after_the_client_has_run_dry() -> None:
    playout = Playout()
    playout.push(0, MS * 100)
    playout.release(0)
    playout.push(0, MS * 5000)
    assert playout.release(700) == [(0, MS * 1000)]
    assert playout.plays_until_ms == 1700


def test_a_reply_counts_what_is_still_to_be_heard_of_the_one_before() -> None:
    playout = Playout(begins_ms=900)
    playout.push(0, MS * 5000)
    assert not playout.release(0)
    assert playout.deadline_ms == 900 - LEAD_MS + TOP_UP_MS
    assert playout.release(playout.deadline_ms) == [(0, MS * 400)]


@given(
    st.lists(st.tuples(st.integers(0, 3000), st.booleans(), st.integers(0, 2500)), max_size=40),
    st.integers(0, 2**32),
)
def test_pacing_loses_and_repeats_nothing_and_keeps_its_lead(steps: list[tuple[int, bool, int]], seed: int) -> None:
    """Audio comes and is withheld at any time; what goes out is what came in, never too early, and without a gap that we made."""
    playout, now, pushed = Playout(), 0.0, b""
    sent: SENT = []
    for number, (wait_ms, withheld, length_ms) in enumerate(steps):
        audio = (seed + number).to_bytes(8, "little")[:2] * (length_ms * AudioFormat.PCM.bytes_per_ms // 2)
        pushed += audio
        playout.push(number // 3, audio)
        now += wait_ms
        if not withheld:
            sent += [(now, segment, piece) for segment, piece in playout.release(now)]
            assert playout.plays_until_ms is None or playout.plays_until_ms - now <= LEAD_MS + 1
    while not playout.is_empty:
        now = max(now, playout.deadline_ms or now)
        sent += [(now, segment, piece) for segment, piece in playout.release(now)]
    assert b"".join(piece for _, _, piece in sent) == pushed
    assert [segment for _, segment, _ in sent] == sorted(segment for _, segment, _ in sent)
    assert all(len(piece) % 2 == 0 for _, _, piece in sent)
