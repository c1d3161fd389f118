"""The normal form: names and orders that do not depend on what the exporter drew."""

import numpy as np
import onnx
import onnx.reference
import pytest

from onnxroot.errors import UnsupportedModelError
from onnxroot_adapters._normalise import normalise

HEADER = '<ir_version: 8, opset_import: ["": 17]>\n'


def parsed(text: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(HEADER + text)


def renamed(text: str, **weights: str) -> onnx.ModelProto:
    return normalise(parsed(text), graph_name="main", rename=True, weight_names=weights)


def computed(model: onnx.ModelProto, *inputs: np.ndarray) -> list[np.ndarray]:
    evaluator = onnx.reference.ReferenceEvaluator(model)
    return evaluator.run(None, dict(zip((v.name for v in model.graph.input), inputs, strict=True)))


ONE = """
g (float[N] x) => (float[N] y) <float[1] b = {2.0}, float[1] a = {3.0}>
{ q = Mul(x, a)  p = Add(x, b)  y = Sub(p, q) }
"""
OTHER = """
h (float[N] x) => (float[N] y) <float[1] z1 = {3.0}, float[1] z0 = {2.0}>
{ t7 = Add(x, z0)  t9 = Mul(x, z1)  y = Sub(t7, t9) }
"""


def test_order_and_names_do_not_matter():
    one, other = renamed(ONE), renamed(OTHER)
    assert one.SerializeToString() == other.SerializeToString()
    assert [node.op_type for node in one.graph.node] == ["Add", "Mul", "Sub"]
    assert [tensor.name for tensor in one.graph.initializer] == ["weight_0", "weight_1"]
    x = np.array([1.0, 5.0], "float32")
    np.testing.assert_array_equal(computed(one, x)[0], computed(parsed(ONE), x)[0])


def test_weights_keep_the_framework_s_names():
    model = renamed(ONE, a="dense/kernel", b="dense/kernel")
    assert [tensor.name for tensor in model.graph.initializer] == ["dense/kernel", "dense/kernel_1"]


def test_no_name_is_given_twice():
    model = renamed(
        """
        g (float[N] weight_0, float[N] Add_0_out) => (float[N] Mul_1_out)
        <float[1] a = {2.0}>
        { t = Add(weight_0, a)  Mul_1_out = Mul(t, Add_0_out) }
        """
    )
    found = computed(model, np.array([1.0], "float32"), np.array([5.0], "float32"))
    assert found[0] == [15.0]


@pytest.mark.parametrize(
    "nodes",
    [
        "y = Add(x, x)  z = Identity(y)",
        "z = Add(x, x)  y = Identity(z)",
        "t = Add(x, x)  z = Identity(t)  u = Identity(t)  y = Identity(u)",
    ],
)
def test_copies_among_outputs(nodes):
    model = renamed(f"g (float[N] x) => (float[N] y, float[N] z) {{ {nodes} }}")
    assert [(node.op_type, *node.output) for node in model.graph.node] == [
        ("Add", "y"),
        ("Identity", "z"),
    ]
    assert [value.tolist() for value in computed(model, np.array([2.0], "float32"))] == [[4.0]] * 2


def test_inner_graphs():
    text = """
    g (bool c, float[N] x) => (float[N] y)
    {
      k = Neg(x)
      y = If(c) <then_branch = drawn_17 () => (float[N] a) { a = Identity(k) },
                 else_branch = drawn_18 () => (float[N] b) { m = Abs(k)  b = Add(m, k) }>
    }
    """
    model = renamed(text)
    assert "drawn" not in str(model)
    x = np.array([2.0, -3.0], "float32")
    for condition in (True, False):
        given = np.array(condition), x
        expected = computed(parsed(text), *given)[0]
        np.testing.assert_array_equal(computed(model, *given)[0], expected)


def test_foreign_operators_are_refused():
    node = onnx.helper.make_node("StatefulPartitionedCall", ["x"], ["y"])
    values = [onnx.helper.make_tensor_value_info(name, 1, [1]) for name in "xy"]
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", values[:1], values[1:]))
    with pytest.raises(UnsupportedModelError, match="StatefulPartitionedCall"):
        normalise(model, graph_name="main")
