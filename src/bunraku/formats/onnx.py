"""Networks as ONNX files, built node by node from their weights.

Not traced from torch modules: what is written is exactly the formula that the documentation gives, with a batch of any
size, the same on every version of PyTorch, and without its exporter among the dependencies. Everything is float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bunraku.core import artifact
from bunraku.core.errors import BunrakuError

if TYPE_CHECKING:
    import onnx

OPSET = 17
IR = 9

Layers = Sequence[tuple[np.ndarray, np.ndarray]]
"""(weight (out, in), bias (out)) of every layer; the last is linear."""


@dataclass
class Graph:
    """A graph while it grows: every method adds nodes and returns the name of their result."""

    name: str
    nodes: list[Any] = field(default_factory=list[Any])
    constants: list[Any] = field(default_factory=list[Any])
    inputs: list[Any] = field(default_factory=list[Any])
    outputs: list[Any] = field(default_factory=list[Any])

    def input(self, name: str, shape: Sequence[int]) -> str:
        """An input of any number of rows of this shape."""
        from onnx import TensorProto, helper

        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape]))
        return name

    def output(self, name: str, x: str, shape: Sequence[int]) -> None:
        """Give a result a name to ask for."""
        from onnx import TensorProto, helper

        self.nodes.append(helper.make_node("Identity", [x], [name]))
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape]))

    def constant(self, value: np.ndarray | float | Sequence[int]) -> str:
        """A stored array: whole numbers as int64, others as float32."""
        from onnx import numpy_helper

        array = np.asarray(value)
        array = array.astype(np.int64 if array.dtype.kind in "iu" else np.float32)
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name))
        return name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """One node with one result."""
        from onnx import helper

        name = f"{operator.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def shifted(self, x: str, centre: np.ndarray, spread: np.ndarray | float) -> str:
        """(x − centre) / spread."""
        return self.add("Div", self.add("Sub", x, self.constant(centre)), self.constant(spread))

    def linear(self, x: str, weight: np.ndarray, bias: np.ndarray | None = None) -> str:
        """W·x + b of every row."""
        product = self.add("MatMul", x, self.constant(np.asarray(weight).T))
        return product if bias is None else self.add("Add", product, self.constant(bias))

    def network(self, x: str, layers: Layers, activation: str) -> str:
        """A fully connected network."""
        for weight, bias in layers[:-1]:
            x = self.activated(self.linear(x, weight, bias), activation)
        weight, bias = layers[-1]
        return self.linear(x, weight, bias)

    def activated(self, x: str, activation: str) -> str:
        """A hidden layer's activation: relu, elu, tanh, silu or leaky_relu."""
        if activation == "silu":
            return self.add("Mul", x, self.add("Sigmoid", x))
        operators = {"relu": "Relu", "elu": "Elu", "tanh": "Tanh", "leaky_relu": "LeakyRelu"}
        attributes = {"alpha": 0.01} if activation == "leaky_relu" else {}
        return self.add(operators[activation], x, **attributes)

    def clipped(self, x: str, low: np.ndarray | float, high: np.ndarray | float) -> str:
        """x between bounds."""
        return self.add("Min", self.add("Max", x, self.constant(low)), self.constant(high))

    def products(self, u: str, terms: np.ndarray, width: int) -> str:
        """Monomials of u: each row of `terms` lists the factors; `width` stands for 1."""
        first = self.add("Gather", u, self.constant([0]), axis=1)
        one = self.add("Add", self.add("Mul", first, self.constant(0.0)), self.constant(1.0))
        factors = self.add("Concat", u, one, axis=1)
        assert terms.size == 0 or terms.max() <= width
        columns = [self.add("Gather", factors, self.constant(column), axis=1) for column in terms.T]
        value = columns[0]
        for column in columns[1:]:
            value = self.add("Mul", value, column)
        return value


def save_onnx(path: Path, graph: Graph, metadata: Mapping[str, str]) -> None:
    """Check a graph and write it, atomically.

    Raises:
        BunrakuError: the package onnx is not installed, the file cannot be written.
    """
    artifact.write_bytes(path, _model(graph, metadata).SerializeToString())


def _model(graph: Graph, metadata: Mapping[str, str]) -> onnx.ModelProto:
    from onnx import checker, helper

    body = helper.make_graph(graph.nodes, graph.name, graph.inputs, graph.outputs, graph.constants)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="bunraku")
    # Not the newest that this onnx knows, so that older runtimes read it.
    model.ir_version = IR
    helper.set_model_props(model, dict(metadata))
    checker.check_model(model, full_check=True)
    return model


def require_onnx(path: Path) -> None:
    """Say what is missing before any work is done.

    Raises:
        BunrakuError: the package onnx is not installed.
    """
    import importlib.util

    if importlib.util.find_spec("onnx") is None:
        raise BunrakuError(f"{path}: writing ONNX needs the package onnx; install bunraku[onnx]")


def policy_graph(layers: Layers, activation: str, mean: np.ndarray, deviation: np.ndarray, limit: float) -> Graph:
    """observation (batch, n) → action (batch, m): clip((o − mean)/deviation, ±limit), then the network."""
    graph = Graph("policy")
    seen = graph.shifted(graph.input("observation", [len(mean)]), mean, deviation)
    action = graph.network(graph.clipped(seen, -limit, limit), layers, activation)
    graph.output("action", action, [len(layers[-1][1])])
    return graph


def approximation_graph(
    *,
    centre: np.ndarray,
    spread: np.ndarray,
    scale: float,
    skip: np.ndarray | None,
    terms: np.ndarray,
    products: np.ndarray,
    layers: Layers,
    activation: str,
    mean: np.ndarray,
    basis: np.ndarray | None,
) -> Graph:
    """controls (batch, C) → vertices (batch, V, 3): the formula of docs/inversion.md."""
    graph = Graph("approximation")
    u = graph.shifted(graph.input("controls", [len(centre)]), centre, spread)
    parts: list[str] = []
    if skip is not None:
        parts.append(graph.linear(u, skip))
    if len(terms):
        parts.append(graph.linear(graph.products(u, terms, len(centre)), products))
    if layers:
        parts.append(graph.network(u, layers, activation))
    # Without any part the mesh is the mean, for every row.
    z = parts[0] if parts else graph.linear(u, np.zeros((len(mean) if basis is None else len(basis), len(centre))))
    for part in parts[1:]:
        z = graph.add("Add", z, part)
    z = graph.add("Mul", z, graph.constant(scale))
    offset = z if basis is None else graph.linear(z, basis.T)
    flat = graph.add("Add", offset, graph.constant(mean))
    graph.output("vertices", graph.add("Reshape", flat, graph.constant([-1, len(mean) // 3, 3])), [len(mean) // 3, 3])
    return graph


def encoder_graph(
    *,
    mean: np.ndarray,
    basis: np.ndarray | None,
    unit: np.ndarray,
    skip: np.ndarray,
    layers: Layers,
    neutral: np.ndarray,
    span: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
) -> Graph:
    """vertices (batch, V, 3) → controls (batch, C): the formula of docs/inversion.md."""
    graph = Graph("encoder")
    vertices = graph.input("vertices", [len(mean) // 3, 3])
    flat = graph.add("Reshape", vertices, graph.constant([-1, len(mean)]))
    offset = graph.add("Sub", flat, graph.constant(mean))
    z = offset if basis is None else graph.linear(offset, basis)
    x = graph.add("Div", z, graph.constant(unit))
    relative = graph.add("Add", graph.linear(x, skip), graph.network(x, layers, "silu"))
    values = graph.add("Add", graph.add("Mul", relative, graph.constant(span)), graph.constant(neutral))
    graph.output("controls", graph.clipped(values, lower, upper), [len(neutral)])
    return graph
