"""Writes the network that the scorer serves, as ONNX.

Tables for 100,000 users and 10,000 items (32 numbers each) and 100 brands (16), a price, two hidden layers (128, 64),
and three heads: click, purchase, and a mix of 50 categories. The weights are random: a product costs the same with any.

    python network.py network.onnx
"""

import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

USERS, ITEMS, BRANDS, CATEGORIES = 100_000, 10_000, 100, 50


def main(path):
    random = np.random.default_rng(0)
    weights, nodes = [], []

    def weight(name, *shape):
        scale = 1.0 / np.sqrt(shape[-1])
        values = (random.standard_normal(shape) * scale).astype(np.float32)
        weights.append(numpy_helper.from_array(values, name))
        return name

    def node(kind, inputs, output, **attributes):
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def layer(name, source, width, units):
        parts = [source, weight(f"{name}.weight", units, width), weight(f"{name}.bias", units)]
        return node("Gemm", parts, name, transB=1)

    rows = [
        node("Gather", [weight("users", USERS, 32), "u"], "user"),
        node("Gather", [weight("items", ITEMS, 32), "i"], "item"),
        node("Gather", [weight("brands", BRANDS, 16), "b"], "brand"),
    ]
    weights.append(numpy_helper.from_array(np.array([1], np.int64), "axis"))
    rows.append(node("Unsqueeze", ["p", "axis"], "price"))
    joined = node("Concat", rows, "joined", axis=1)
    first = node("Relu", [layer("first", joined, 81, 128)], "first_on")
    second = node("Relu", [layer("second", first, 128, 64)], "second_on")
    node("Sigmoid", [layer("click", second, 64, 1)], "c")
    node("Sigmoid", [layer("purchase", second, 64, 1)], "v")
    node("Identity", [layer("mix", second, 64, CATEGORIES)], "d")

    def tensor(name, kind, *shape):
        return helper.make_tensor_value_info(name, kind, ["n", *shape])

    whole, real = TensorProto.INT64, TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "network",
        [tensor("u", whole), tensor("i", whole), tensor("b", whole), tensor("p", real)],
        [tensor("c", real, 1), tensor("v", real, 1), tensor("d", real, CATEGORIES)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: network.py FILE.onnx")
    main(sys.argv[1])
