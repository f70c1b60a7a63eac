"""Silero's voice activity model: the probability of voice in frames of many callers at once."""

import os
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

FRAME_SAMPLES = 512
"""Samples of a frame at 16 kHz: 32 ms. A frame of half as many is one at 8 kHz."""
CONTEXT_SHARE = 8
"""The model wants the last eighth of the frame before in front of each."""
LSTM_CELLS = 128

Floats = npt.NDArray[np.float32]


def model_name(frame_samples: int) -> str:
    """Return the name of the file, in `models`, with the model for frames of this length."""
    return f"silero_{frame_samples}.onnx"


class SileroState:
    """What the model remembers of one caller; None before the first frame."""

    __slots__ = ("memory",)

    def __init__(self) -> None:
        self.memory: Floats | None = None


class Silero:
    """The model, with one thread of its own. `probabilities` blocks and is not to be called from two threads at once."""

    def __init__(self) -> None:
        self._models = {FRAME_SAMPLES: _Model(FRAME_SAMPLES)}

    def probabilities(self, frames: list[Floats], states: list[SileroState]) -> list[float]:
        """Return the probability of voice in each frame (within ±1; 512 samples, or 256 at 8 kHz), and let each state move on.

        Frames of one length are judged together.
        """
        lengths = {len(frame) for frame in frames}
        if len(lengths) == 1:
            return self._model(lengths.pop()).judge(frames, states)
        found = [0.0] * len(frames)
        for length in lengths:
            places = [place for place, frame in enumerate(frames) if len(frame) == length]
            judged = self._model(length).judge([frames[place] for place in places], [states[place] for place in places])
            for place, probability in zip(places, judged, strict=True):
                found[place] = probability
        return found

    def _model(self, frame_samples: int) -> "_Model":
        """Return the model for frames of this length; that for telephones is read when the first calls."""
        if frame_samples not in self._models:
            self._models[frame_samples] = _Model(frame_samples)
        return self._models[frame_samples]


class _Model:
    """The model for frames of one length: rows of frames and of states go in, probabilities and rows of states come out."""

    def __init__(self, frame_samples: int) -> None:
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # else it reports to its maker, and writes into the home directory; read at import
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False  # it would keep 10 MB, and save no time
        options.log_severity_level = 3
        model = files("mistral_voice.gateway.vad").joinpath("models", model_name(frame_samples)).read_bytes()
        self._session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._new: Floats = np.zeros(2 * LSTM_CELLS + frame_samples // CONTEXT_SHARE, dtype=np.float32)

    def judge(self, frames: list[Floats], states: list[SileroState]) -> list[float]:
        memory = np.concatenate([self._new if state.memory is None else state.memory for state in states])
        rows = {"frames": np.concatenate(frames).reshape(len(frames), -1), "state": memory.reshape(len(frames), -1)}
        probabilities, after = self._session.run(None, rows)
        for state, row in zip(states, after, strict=True):
            state.memory = row
        found: list[float] = probabilities[:, 0].tolist()
        return found
