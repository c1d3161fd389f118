"""A comparison of two models in words, a line each, in the manner of ``diff``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice

from onnxroot._changes import Change, GraphDiff, Kind, ModelDiff, NodeChange, TensorChange
from onnxroot._tensor_change import Difference

__all__ = ["lines_of", "summary"]

_MARKS: dict[Kind, str] = {"added": "+", "removed": "-", "changed": "~", "renamed": ">"}


def summary(found: ModelDiff) -> str:
    """Return the answer in one line."""
    if found.identical:
        return "identical: every byte is the same"
    if found.same_model:
        how = "; ".join(found.encoding) or "the bytes differ in what no reader of ONNX sees"
        return f"the same model, encoded differently: {how}"
    nodes = Counter(node.kind for graph in found.graphs for node in graph.nodes)
    tensors = Counter(tensor.kind for graph in found.graphs for tensor in graph.tensors)
    values: Counter[Kind] = Counter(
        {"renamed": sum(len(graph.renamed_values) for graph in found.graphs)}
    )
    others = Counter(change.kind for change in found.changes)
    others += Counter(change.kind for graph in found.graphs for change in graph.changes)
    kinds = (("node", nodes), ("tensor", tensors), ("value", values), ("other thing", others))
    parts = [_count(counts, noun) for noun, counts in kinds if counts.total()]
    return f"the models differ: {'; '.join(parts)}"


def lines_of(found: ModelDiff, limit: int | None = None) -> Iterator[str]:
    """Yield what changed, a line each; the first character says how.

    ``+`` was added, ``-`` removed, ``~`` changed, ``>`` renamed.

    Args:
        found: A comparison.
        limit: Most lines of a kind, such as nodes of a graph.
    """
    yield from map(_change, found.changes)
    for graph in found.graphs:
        yield f"@ {graph.where or 'main graph'}"
        yield from _graph(graph, limit)


def _graph(graph: GraphDiff, limit: int | None) -> Iterator[str]:
    yield from _limited(map(_change, graph.changes), len(graph.changes), limit)
    yield from _limited(map(_node, graph.nodes), len(graph.nodes), limit)
    yield from _limited(map(_tensor, graph.tensors), len(graph.tensors), limit)
    names = graph.renamed_values.items()
    lines = (f"> value {old!r} -> {new!r}" for old, new in names)
    yield from _limited(lines, len(names), limit)


def _limited(lines: Iterator[str], n_lines: int, limit: int | None) -> Iterator[str]:
    yield from islice(lines, limit)
    if limit is not None and n_lines > limit:
        yield f"  ... and {n_lines - limit:,} more; --all shows them"


def _change(change: Change) -> str:
    what = f"{change.what} {change.name!r}" if change.name else change.what
    return f"{_MARKS[change.kind]} {what}{_from_to(change)}"


def _from_to(change: Change) -> str:
    old, new = change.old, change.new
    if change.kind == "renamed":
        return f" -> {new!r}"
    if old is None and new is None:
        return ""
    if old is None or new is None:
        return f": {old if new is None else new}"
    return f": {old or 'nothing'} -> {new or 'nothing'}"


def _node(node: NodeChange) -> str:
    name = f" {node.name!r}" if node.name else ""
    head = f"{_MARKS[node.kind]} node {node.operator}{name}"
    if not node.changes:
        return f"{head} ({', '.join(node.inputs)}) -> ({', '.join(node.outputs)})"
    if not name:
        head += f" -> ({', '.join(node.outputs)})"
    return f"{head}: {'; '.join(map(_of_node, node.changes))}"


def _of_node(change: Change) -> str:
    what = f"{change.what} {change.name}" if change.name else change.what
    if change.what == "name":
        return f"now {change.new!r}"
    word = "" if change.kind == "changed" else f" {change.kind}"
    return f"{what}{word}{_from_to(change)}"


def _tensor(tensor: TensorChange) -> str:
    new_name = f" -> {tensor.new_name!r}" if tensor.new_name not in {"", tensor.name} else ""
    head = f"{_MARKS[tensor.kind]} tensor {tensor.name!r}{new_name}"
    if tensor.kind != "changed":
        return f"{head} {tensor.old or tensor.new}"
    if tensor.old != tensor.new:
        return f"{head}: {tensor.old} -> {tensor.new}"
    how = _difference(tensor.difference) if tensor.difference else f"differs; {tensor.remark}"
    return f"{head} {tensor.old}: {how}"


def _difference(found: Difference) -> str:
    share = f"{found.n_different:,} of {_n(found.n_elements, 'element')} differ"
    figures = []
    if found.max_abs is not None:
        figures.append(f"by at most {found.max_abs:.3g}")
    if found.max_relative is not None:
        figures.append(f"relative {found.max_relative:.3g}")
    if found.max_ulp is not None:
        figures.append(f"{found.max_ulp:,} ulp")
    if found.n_not_finite:
        figures.append(f"{found.n_not_finite:,} with NaN or infinity")
    return ", ".join([share, *figures])


def _count(kinds: Counter[Kind], noun: str) -> str:
    """Return ``2 nodes added, 1 removed``."""
    parts = [f"{kinds[kind]:,} {kind}" for kind in _MARKS if kinds[kind]]
    number, _, rest = ", ".join(parts).partition(" ")
    return f"{number} {noun if number == '1' else f'{noun}s'} {rest}"


def _n(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
