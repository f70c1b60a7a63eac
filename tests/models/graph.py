"""An ONNX graph, written step by step."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 18
IR_VERSION = 10


class Graph:
    """Collects the steps of a graph. A step's result is known by the name that the step returns."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def weights(self, name: str, values: npt.NDArray[np.float32]) -> str:
        """Add weights."""
        return self._constant(name, np.ascontiguousarray(values, dtype=np.float32))

    def whole(self, *numbers: int) -> str:
        """Add whole numbers, for shapes and places."""
        return self._constant("int_" + "_".join(map(str, numbers)), np.array(numbers, dtype=np.int64))

    def step(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Add a step with one result."""
        return self.steps(kind, *inputs, names=[name or f"{kind.lower()}_{len(self._nodes)}"], **attributes)[0]

    def steps(self, kind: str, *inputs: str, names: Sequence[str], **attributes: Any) -> list[str]:
        """Add a step with several results."""
        self._nodes.append(helper.make_node(kind, inputs, names, **attributes))
        return list(names)

    def piece(self, of: str, first: int, end: int) -> str:
        """Cut a piece along the second dimension."""
        return self.step("Slice", of, self.whole(first), self.whole(end), self.whole(1))

    def model(self, name: str, inputs: dict[str, int], outputs: dict[str, int]) -> onnx.ModelProto:
        """Return the checked model; inputs and outputs are matrices of `batch` rows with so many columns."""

        def described(sizes: dict[str, int]) -> list[onnx.ValueInfoProto]:
            return [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size]) for name, size in sizes.items()]

        graph = helper.make_graph(self._nodes, name, described(inputs), described(outputs), list(self._constants.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        onnx.checker.check_model(model, full_check=True)
        return model

    def _constant(self, name: str, values: npt.NDArray[Any]) -> str:
        self._constants[name] = numpy_helper.from_array(values, name)
        return name
