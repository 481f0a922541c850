"""Similarity models for tests and benchmarks, made with onnx.helper by the contract of transition_matrix.md."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def metadata(dim: int, k: int = 5, metric: str = "cosine") -> dict[str, str]:
    return {
        "density_peaks.contract": "1",
        "density_peaks.dim": str(dim),
        "density_peaks.k": str(k),
        "density_peaks.metric": metric,
    }


class Graph:
    """Nodes and constants of a model, in the order in which they are added."""

    def __init__(self):
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value) -> str:
        array = np.asarray(value)
        array = array.astype(np.int64 if array.dtype.kind in "iu" else np.float32)
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def add(self, op: str, *inputs, output: str | None = None, **attributes) -> str:
        """A node; an input that is no name becomes a constant."""
        names = [value if isinstance(value, str) else self.constant(value) for value in inputs]
        output = output or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, names, [output], **attributes))
        return output

    def tokens(self) -> tuple[str, str]:
        """Features [batch, tokens, D] of the anchor and its neighbors, and which are there, [batch, tokens]."""
        there = self.add("GreaterOrEqual", "neighbors", np.int64(0))
        return self.add("Gather", "points", self.add("Max", "neighbors", np.int64(0))), there

    def anchor_and_neighbors(self, tokens: str) -> tuple[str, str]:
        """The first token, [batch, 1, D], and the others."""
        anchor = self.add("Slice", tokens, [0], [1], [1])
        return anchor, self.add("Slice", tokens, [1], [np.iinfo(np.int64).max], [1])

    def cosine(self, tokens: str) -> str:
        """Inner products of the anchor with each neighbor, [batch, tokens - 1]."""
        anchor, neighbors = self.anchor_and_neighbors(tokens)
        return self.add("ReduceSum", self.add("Mul", anchor, neighbors), [2], keepdims=0)

    def model(
        self,
        dim: int | str | None,
        points=("points", FLOAT, ["n"]),
        neighbors=("neighbors", INT64, ["batch", "tokens"]),
        output=("prob", FLOAT, ["batch", "others"]),
        keys: dict[str, str] | None = None,
    ) -> onnx.ModelProto:
        points = (points[0], points[1], [*points[2], dim] if dim is not None else points[2])
        infos = [helper.make_tensor_value_info(*info) for info in (points, neighbors, output)]
        graph = helper.make_graph(self.nodes, "similarity", infos[:2], infos[2:], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        helper.set_model_props(model, metadata(dim) if keys is None else keys)
        return model


def cosine_model(dim: int, **changes) -> onnx.ModelProto:
    """max(0, cosine): what kernel 'linear' makes of a cosine distance."""
    graph = Graph()
    tokens, _ = graph.tokens()
    graph.add("Clip", graph.cosine(tokens), 0.0, 1.0, output="prob")
    return graph.model(dim, **changes)


def calibrated_model(dim: int, slope: float = 12.0, offset: float = -6.0, **changes) -> onnx.ModelProto:
    """sigmoid(slope * cosine + offset)."""
    graph = Graph()
    tokens, _ = graph.tokens()
    logit = graph.add("Add", graph.add("Mul", graph.cosine(tokens), slope), offset)
    graph.add("Sigmoid", logit, output="prob")
    return graph.model(dim, **changes)


def transformer_model(
    dim: int, k: int = 5, heads: int = 8, hidden: int = 2048, layers: Sequence[int] = (256, 128), seed: int = 1
) -> onnx.ModelProto:
    """The paper's network with random weights: one pre-norm Transformer encoder layer over the anchor and its
    neighbors, absent ones masked, and a perceptron on each pair of anchor and neighbor."""
    random = np.random.default_rng(seed)
    graph = Graph()
    add = graph.add

    def linear(value: str, inputs: int, outputs: int) -> str:
        weights = random.normal(scale=inputs**-0.5, size=(inputs, outputs)).astype(np.float32)
        product = add("MatMul", value, weights)
        return add("Add", product, random.normal(scale=0.1, size=outputs).astype(np.float32))

    def norm(value: str) -> str:
        scale = np.ones(dim, np.float32)
        return add("LayerNormalization", value, scale, np.zeros(dim, np.float32), axis=-1, epsilon=1e-5)

    tokens, there = graph.tokens()
    normed = norm(tokens)
    size = dim // heads

    def split(value: str, last: Sequence[int]) -> str:
        return add("Transpose", add("Reshape", value, [0, 0, heads, size]), perm=[0, *last])

    query = split(linear(normed, dim, dim), (2, 1, 3))
    key = split(linear(normed, dim, dim), (2, 3, 1))
    value = split(linear(normed, dim, dim), (2, 1, 3))
    scores = add("Mul", add("MatMul", query, key), float(size**-0.5))
    mask = add("Unsqueeze", there, [1, 2])
    attention = add("Softmax", add("Where", mask, scores, -1e9), axis=-1)
    mixed = add("Transpose", add("MatMul", attention, value), perm=[0, 2, 1, 3])
    tokens = add("Add", tokens, linear(add("Reshape", mixed, [0, 0, dim]), dim, dim))
    inner = add("Relu", linear(norm(tokens), dim, hidden))
    tokens = add("Add", tokens, linear(inner, hidden, dim))

    anchor, others = graph.anchor_and_neighbors(tokens)
    pairs = add("Concat", add("Expand", anchor, add("Shape", others)), others, axis=-1)
    width = 2 * dim
    for outputs in layers:
        pairs, width = add("Relu", linear(pairs, width, outputs)), outputs
    add("Sigmoid", add("Squeeze", linear(pairs, width, 1), [2]), output="prob")
    return graph.model(dim, keys=metadata(dim, k))
