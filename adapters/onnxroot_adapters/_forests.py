"""The votes of a forest, counted as scikit-learn counts them."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, helper

from onnxroot_adapters._append import add_constant, require_opset

__all__ = ["count_votes"]


def count_votes(model: ModelProto, names: Collection[str]) -> ModelProto:
    """Return a model whose forests divide the sum of the votes by their number.

    The exporter divides each vote first. In float32 the sum of 10 times 1/20 is then not a half,
    and a tie goes to the wrong class.

    Args:
        model: As exported, with the weight 1 for each tree of the forests.
        names: The names of these forests' nodes.
    """
    if not names:
        return model
    result = ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    nodes = [NodeProto.FromString(node.SerializeToString()) for node in graph.node]
    del graph.node[:]
    for node in nodes:
        if node.op_type == "TreeEnsembleClassifier" and node.name in names:
            _add_counted(graph, node)
        else:
            graph.node.append(node)
    require_opset(result, 13)
    return result


def _add_counted(graph: GraphProto, node: NodeProto) -> None:
    """Add a forest as a regressor of the votes, with what is made of them."""
    label, probabilities = node.output
    stem = f"{node.name}_"
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    strings = attributes.pop("classlabels_strings", None)
    classes = np.array([s.decode() for s in strings], dtype=object) if strings else None
    if classes is None:
        classes = np.array(attributes.pop("classlabels_int64s"), dtype=np.int64)
    trees = attributes["class_treeids"]
    n_scores = max(attributes["class_ids"]) + 1
    for name in [name for name in attributes if name.startswith("class_")]:
        attributes[f"target_{name[len('class_') :]}"] = attributes.pop(name)
    number = add_constant(graph, f"{stem}n", np.array(len(set(trees)), dtype=np.float32))
    table = add_constant(graph, f"{stem}classes", classes)
    add = graph.node.append
    add(
        helper.make_node(
            "TreeEnsembleRegressor",
            list(node.input),
            [f"{stem}votes"],
            domain="ai.onnx.ml",
            n_targets=n_scores,
            **attributes,
        )
    )
    if len(classes) == 2 and n_scores == 1:
        one = add_constant(graph, f"{stem}one", np.array(1, dtype=np.float32))
        add(helper.make_node("Div", [f"{stem}votes", number], [f"{stem}second"]))
        add(helper.make_node("Sub", [one, f"{stem}second"], [f"{stem}first"]))
        pair = [f"{stem}first", f"{stem}second"]
        add(helper.make_node("Concat", pair, [probabilities], axis=1))
    else:
        add(helper.make_node("Div", [f"{stem}votes", number], [probabilities]))
    add(helper.make_node("ArgMax", [probabilities], [f"{stem}best"], axis=1, keepdims=0))
    add(helper.make_node("Gather", [table, f"{stem}best"], [label], axis=0))
