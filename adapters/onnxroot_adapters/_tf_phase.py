"""Graphs of TensorFlow 1 that serve both training and use: what they compute when they are used.

Such a graph asks whether it is being trained, goes one of two ways (Switch, Merge), and asserts.
tf2onnx takes none of these.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any

__all__ = ["settle"]

_PHASE = re.compile(r"phase|train", re.IGNORECASE)
_ASSERTS = re.compile(r"assert", re.IGNORECASE)


def settle(tf: Any, graph: Any, inputs: Collection[str] = ()) -> None:
    """Change a graph to what it computes when it is used.

    Args:
        tf: The module.
        graph: GraphDef; changed in place.
        inputs: Names of nodes that are asked for and stay so, even if they have a default.
    """
    asked = [node for node in graph.node if node.name not in inputs]
    for node in asked:
        if node.op == "PlaceholderWithDefault":
            _become_identity(node)
        elif _asks_for_phase(tf, node):
            _become_false(tf, node)
    ends = _ends(graph)
    _forget_asserts(graph)
    _Branches(tf, graph).take()
    _keep(graph, {*ends, *inputs})


def _ends(graph: Any) -> set[str]:
    """Return the nodes that no other reads."""
    read = {_node_of(name) for node in graph.node for name in node.input}
    return {node.name for node in graph.node if node.name not in read}


def _keep(graph: Any, ends: Collection[str]) -> None:
    """Drop the nodes that no end needs."""
    nodes = {node.name: node for node in graph.node}
    found: set[str] = set()
    rest = [name for name in ends if name in nodes]
    while rest:
        name = rest.pop()
        if name not in found:
            found.add(name)
            rest += map(_node_of, nodes[name].input)
    _replace(graph, [node for node in graph.node if node.name in found])


def _replace(graph: Any, nodes: Iterable[Any]) -> None:
    kept = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)


def _asks_for_phase(tf: Any, node: Any) -> bool:
    of_bool = node.op == "Placeholder" and node.attr["dtype"].type == tf.bool.as_datatype_enum
    return of_bool and bool(_PHASE.search(node.name))


def _become_false(tf: Any, node: Any) -> None:
    node.op = "Const"
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(False))
    node.attr.pop("shape", None)


def _become_identity(node: Any) -> None:
    node.op = "Identity"
    node.attr["T"].type = node.attr["dtype"].type
    for key in ("dtype", "shape"):
        node.attr.pop(key, None)


def _forget_asserts(graph: Any) -> None:
    """Let no node wait for a check: what is checked does not change what is computed."""
    checks = {
        node.name
        for node in graph.node
        if node.op in ("Assert", "NoOp") or _ASSERTS.search(node.name)
    }
    for node in graph.node:
        kept = [name for name in node.input if name[:1] != "^" or name[1:] not in checks]
        if len(kept) < len(node.input):
            node.input[:] = kept


class _Branches:
    """The ways that a graph can go, where it is known which one it does go.

    In loops it is not: there, nothing changes.
    """

    def __init__(self, tf: Any, graph: Any) -> None:
        self.tf, self.graph = tf, graph
        self.nodes = {node.name: node for node in graph.node}
        self.never: set[str] = set()  # nodes that do not run, or are not needed any more
        self.dead: set[str] = set()  # outputs that have no value
        self.instead: dict[str, str] = {}  # outputs, and the ones that have their values

    def take(self) -> None:
        """Join what comes before and after each known Switch and Merge; drop the other way."""
        for node in self._in_order():
            node.input[:] = [self._now(name) for name in node.input]
            if node.op == "Switch":
                self._take_switch(node)
            elif node.op == "Merge":
                self._take_merge(node)
            elif any(map(self._is_dead, node.input)):
                self.never.add(node.name)
        if not self.never:
            return
        kept = []
        for node in self.graph.node:
            if node.name not in self.never:
                named = (name for name in node.input if not self._is_dead(name))
                node.input[:] = [n for n in named if n[:1] != "^" or n[1:] not in self.never]
                kept.append(node)
        _replace(self.graph, kept)

    def _in_order(self) -> Iterator[Any]:
        """Yield nodes after those that they read, but for what goes round in loops."""
        state: dict[str, bool] = {}
        for root in self.nodes:
            stack = [root]
            while stack:
                name = stack[-1]
                if name in state:
                    stack.pop()
                    if not state[name]:
                        state[name] = True
                        yield self.nodes[name]
                    continue
                state[name] = False
                before = (_node_of(reference) for reference in self.nodes[name].input)
                stack += [other for other in before if other in self.nodes and other not in state]

    def _now(self, reference: str) -> str:
        return self.instead.get(_output(reference), reference)

    def _is_dead(self, reference: str) -> bool:
        if reference[:1] == "^" and self.nodes[reference[1:]].op == "Switch":
            return False
        if _node_of(reference) in self.never:
            return _output(reference) not in self.instead
        return _output(reference) in self.dead

    def _take_switch(self, node: Any) -> None:
        which = self._truth(node.input[1])
        if any(map(self._is_dead, node.input)):
            self.dead |= {f"{node.name}:0", f"{node.name}:1"}
        elif which is not None:
            self.dead.add(f"{node.name}:{1 - which}")
            self.instead[f"{node.name}:{which}"] = node.input[0]
        else:
            return
        self.never.add(node.name)

    def _take_merge(self, node: Any) -> None:
        ways = [name for name in node.input if name[:1] != "^"]
        alive = [name for name in ways if not self._is_dead(name)]
        if len(alive) == 1 and len(ways) > 1:
            node.op = "Identity"
            node.input[:] = alive
            node.attr.pop("N", None)

    def _truth(self, reference: str) -> int | None:
        """Return 0 or 1, if a condition is a constant."""
        node = self.nodes.get(_node_of(reference))
        while node is not None and node.op == "Identity":
            node = self.nodes.get(_node_of(node.input[0]))
        if node is None or node.op != "Const":
            return None
        return int(bool(self.tf.make_ndarray(node.attr["value"].tensor)))


def _node_of(reference: str) -> str:
    return reference.lstrip("^").partition(":")[0]


def _output(reference: str) -> str:
    """Return a reference to an output in full; one to a node as it is."""
    whole = reference[:1] == "^" or ":" in reference
    return reference if whole else f"{reference}:0"
