"""What is different between two graphs: nodes, tensors, inputs and outputs, and what they hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from onnxroot._changes import Change, GraphDiff, NodeChange, TensorChange
from onnxroot._graphs import Graph, ModelContent, Node
from onnxroot._identity import content_digest
from onnxroot._node_match import Match, match_nodes
from onnxroot._tensor_change import difference
from onnxroot._tensors import Tensor
from onnxroot.errors import UnsupportedModelError

__all__ = ["diff_graphs", "keyed_changes"]

_LONGEST = 80  # characters of an attribute that are shown

Names = dict[str, str]


@dataclass(frozen=True, slots=True)
class _Two:
    """Two models, and a graph of each that are compared."""

    old_model: ModelContent
    new_model: ModelContent
    old: Graph
    new: Graph

    @property
    def models(self) -> tuple[ModelContent, ModelContent]:
        """Both models."""
        return self.old_model, self.new_model


def diff_graphs(
    models: tuple[ModelContent, ModelContent],
    graphs: tuple[Graph, Graph],
    where: str = "",
    around: Names | None = None,
) -> Iterator[GraphDiff]:
    """Compare two graphs, and those in the attributes of their nodes.

    Args:
        models: The models.
        graphs: A graph of each.
        where: What to call them.
        around: New names of the values outside, by old name.

    Yields:
        The graphs that differ; the outermost first.
    """
    two = _Two(*models, *graphs)
    interface, changes = _interface(two)
    paired = _tensors_by_name(two)
    values = {**(around or {}), **interface, **paired}
    match = match_nodes(two.old, two.new, values, models[0].identities.of)
    _tensors_by_use(two, match, paired)
    match.rename(paired)
    inner: list[GraphDiff] = []
    nodes, tensors = [], list(_tensor_changes(two, paired))
    for a, b in sorted(match.pairs, key=lambda pair: pair[0].row):
        change = _node_change(two, match, a, b, tensors)
        if change:
            nodes.append(change)
        inner += _in_attributes(two, match, a, b, where)
    nodes += [_one_sided("removed", node) for node in match.removed]
    nodes += [_one_sided("added", node) for node in match.added]
    changes += _output_sources(two, match)
    outputs = set(two.new.outputs)
    changed_by_name = {*interface, *paired, *two.old.outputs}
    renamed = {
        name: new_name
        for a, _ in match.pairs
        for name in a.outputs
        if name not in changed_by_name
        and (new_name := match.values.get(name, name)) != name
        and new_name not in outputs
    }
    changes += keyed_changes(*_rest(two, match, paired))
    found = GraphDiff(
        where=where,
        nodes=tuple(nodes),
        tensors=tuple(tensors),
        changes=tuple(changes),
        renamed_values=dict(sorted(renamed.items())),
    )
    if found:
        yield found
    yield from inner


def _rest(two: _Two, match: Match, paired: Names) -> list[dict[tuple[str, str], int]]:
    """Return what else is in both graphs.

    Types of values that came or went go without saying, or that are an output of one graph alone.
    """
    gone = {name for node in match.removed for name in node.outputs}
    come = {name for node in match.added for name in node.outputs}
    gone |= two.old.tensors.keys() - paired.keys()
    come |= two.new.tensors.keys() - set(paired.values())
    gone |= {name for name, new_name in match.values.items() if new_name in two.new.types}
    come |= {new_name for name, new_name in match.values.items() if name in two.old.types}
    old = {
        (what, match.values.get(name, name) if what == "type" else name): number
        for (what, name), number in two.old.rest.items()
        if what != "type" or name not in gone
    }
    new = {key: n for key, n in two.new.rest.items() if key[0] != "type" or key[1] not in come}
    return [old, new]


def keyed_changes(old: dict[tuple[str, str], int], new: dict[tuple[str, str], int]) -> list[Change]:
    """Compare content that is known by number alone."""
    found = []
    for what, name in {**old, **new}:
        a, b = old.get((what, name)), new.get((what, name))
        if a != b:
            kind = "added" if a is None else "removed" if b is None else "changed"
            found.append(Change(kind=kind, what=what, name=name))  # type: ignore[arg-type]
    return found


# --- inputs and outputs --------------------------------------------------------------------------


def _interface(two: _Two) -> tuple[Names, list[Change]]:
    """Pair inputs and outputs by name, then by place; return new names, and what changed."""
    names: Names = {}
    changes: list[Change] = []
    for what, old, new in (
        ("input", two.old.inputs, two.new.inputs),
        ("output", two.old.outputs, two.new.outputs),
    ):
        here, there = set(old), set(new)
        left = [name for name in old if name not in there]
        come = [name for name in new if name not in here]
        pairs = {name: name for name in old if name in there}
        if len(left) == len(come):
            pairs |= dict(zip(left, come, strict=True))
        for name in old:
            types = _type(two.old_model, two.old, name), ""
            if name not in pairs:
                changes.append(Change(kind="removed", what=what, name=name, old=types[0]))
                continue
            types = types[0], _type(two.new_model, two.new, pairs[name])
            if pairs[name] != name:
                change = Change(kind="renamed", what=what, name=name, old=name, new=pairs[name])
                changes.append(change)
            if types[0] != types[1]:
                change = Change(kind="changed", what=what, name=name, old=types[0], new=types[1])
                changes.append(change)
        if len(left) != len(come):
            changes += [
                Change(kind="added", what=what, name=n, new=_type(two.new_model, two.new, n))
                for n in come
            ]
        kept = set(pairs.values())
        if [pairs[n] for n in old if n in pairs] != [n for n in new if n in kept]:
            order = [", ".join(names_) for names_ in (old, new)]
            changes.append(
                Change(kind="changed", what=f"order of {what}s", old=order[0], new=order[1])
            )
        if what == "input":
            names = pairs
    return names, changes


def _type(model: ModelContent, graph: Graph, name: str) -> str:
    if name not in graph.types:
        return ""
    value = model.view.value_at(graph.types[name])
    return str(replace(value, name="")).removeprefix(": ")


def _output_sources(two: _Two, match: Match) -> list[Change]:
    """Return the outputs that other nodes make now."""
    made = {name: node for node in two.new.nodes for name in node.outputs}
    of = {name: node for node in two.old.nodes for name in node.outputs}
    there = set(two.new.outputs)
    return [
        Change(
            kind="changed",
            what="source of output",
            name=name,
            old=_label(of.get(name)),
            new=_label(made.get(name)),
        )
        for name in two.old.outputs
        if name in there and match.renamed([name]) != (name,)
    ]


def _label(node: Node | None) -> str:
    if node is None:
        return "no node"
    return f"{node.operator} {node.name!r}" if node.name else node.operator


# --- tensors -------------------------------------------------------------------------------------


def _tensors_by_name(two: _Two) -> Names:
    """Pair initializers by name, then by content."""
    old, new = two.old.tensors, two.new.tensors
    pairs = {name: name for name in old if name in new}
    left, come = ([n for n in one if n not in other] for one, other in ((old, new), (new, old)))
    kinds = [
        {n: _kind_of(model.tensor(rows[n])) for n in names}
        for model, rows, names in ((two.old_model, old, left), (two.new_model, new, come))
    ]
    both = set(kinds[0].values()) & set(kinds[1].values())
    waiting: dict[object, list[str]] = defaultdict(list)
    for name in reversed(come):
        if kinds[1][name] in both:
            waiting[content_digest(two.new_model.tensor(new[name]))].append(name)
    for name in left:
        if waiting and kinds[0][name] in both:
            found = waiting.get(content_digest(two.old_model.tensor(old[name])))
            if found:
                pairs[name] = found.pop()
    return pairs


def _tensors_by_use(two: _Two, match: Match, pairs: Names) -> None:
    """Pair initializers that are still alone where a pair of nodes uses them, in place."""
    taken = set(pairs.values())
    for a, b in match.pairs:
        for x, y in zip(a.inputs, b.inputs, strict=False):
            alone = x in two.old.tensors and x not in pairs
            if alone and y in two.new.tensors and y not in taken:
                pairs[x] = y
                taken.add(y)


def _tensor_changes(two: _Two, pairs: Names) -> Iterator[TensorChange]:
    old, new = two.old.tensors, two.new.tensors
    for name, row in old.items():
        a = two.old_model.tensor(row)
        if name not in pairs:
            yield TensorChange(kind="removed", name=name, new_name="", old=_kind_of(a), new="")
            continue
        change = _tensor_change(name, pairs[name], a, two.new_model.tensor(new[pairs[name]]))
        if change:
            yield change
    taken = set(pairs.values())
    for name, row in new.items():
        if name not in taken:
            kind = _kind_of(two.new_model.tensor(row))
            yield TensorChange(kind="added", name=name, new_name=name, old="", new=kind)


def _tensor_change(name: str, new_name: str, a: Tensor, b: Tensor) -> TensorChange | None:
    old, new = _kind_of(a), _kind_of(b)
    changed = TensorChange(kind="changed", name=name, new_name=new_name, old=old, new=new)
    if old != new:
        return changed
    try:
        found = difference(a, b)
    except UnsupportedModelError as error:
        if content_digest(a) != content_digest(b):
            return replace(changed, remark=str(error))
        found = None
    if found:
        return replace(changed, difference=found)
    return replace(changed, kind="renamed") if name != new_name else None


def _kind_of(tensor: Tensor) -> str:
    return f"{tensor.data_type}[{', '.join(map(str, tensor.shape))}]"


# --- nodes ---------------------------------------------------------------------------------------


def _one_sided(kind: str, node: Node) -> NodeChange:
    return NodeChange(
        kind=kind,  # type: ignore[arg-type]
        operator=node.operator,
        name=node.name,
        inputs=node.inputs,
        outputs=node.outputs,
    )


def _node_change(
    two: _Two, match: Match, a: Node, b: Node, tensors: list[TensorChange]
) -> NodeChange | None:
    changes = []
    if a.operator != b.operator:
        changes.append(Change(kind="changed", what="operator", old=a.operator, new=b.operator))
    if a.name != b.name:
        changes.append(Change(kind="renamed", what="name", old=a.name, new=b.name))
    if a.remarks != b.remarks:
        changes.append(Change(kind="changed", what="remarks"))
    changes += _input_changes(match.renamed(a.inputs), a.inputs, b.inputs)
    if len(a.outputs) != len(b.outputs):
        both = [", ".join(node.outputs) for node in (a, b)]
        changes.append(Change(kind="changed", what="outputs", old=both[0], new=both[1]))
    if a.content != b.content:
        changes += _attribute_changes(two, a, b, tensors)
    if not changes:
        return None
    return NodeChange(
        kind="renamed" if all(change.what == "name" for change in changes) else "changed",
        operator=b.operator,
        name=a.name or b.name,
        inputs=b.inputs,
        outputs=b.outputs,
        changes=tuple(changes),
    )


def _input_changes(
    expected: Sequence[str | None], old: Sequence[str], new: Sequence[str]
) -> Iterator[Change]:
    """Yield what a node takes from elsewhere than what it has become took from."""
    for i, (name, x, y) in enumerate(zip_longest(expected, old, new, fillvalue="")):
        if name != y and (x or y):
            kind = "added" if not x else "removed" if not y else "changed"
            yield Change(kind=kind, what="input", name=str(i), old=x or None, new=y or None)  # type: ignore[arg-type]


def _attribute_changes(two: _Two, a: Node, b: Node, tensors: list[TensorChange]) -> list[Change]:
    old, new = two.old_model.attributes(a.row), two.new_model.attributes(b.row)
    found = []
    for name in {**old, **new}:
        texts = [
            _shortened(model.attribute_text(rows[name])) if name in rows else None
            for model, rows in ((two.old_model, old), (two.new_model, new))
        ]
        kind = "added" if name not in old else "removed" if name not in new else "changed"
        if kind == "changed":
            if two.old_model.attribute_id(old[name]) == two.new_model.attribute_id(new[name]):
                continue
            change = _attribute_tensor(two, a, name, old[name], new[name])
            if change:
                tensors.append(change)
        found.append(
            Change(kind=kind, what="attribute", name=name, old=texts[0], new=texts[1])  # type: ignore[arg-type]
        )
    return found


def _attribute_tensor(two: _Two, node: Node, name: str, old: int, new: int) -> TensorChange | None:
    """Compare the one tensor that an attribute may hold."""
    a, b = two.old_model.attribute_tensor(old), two.new_model.attribute_tensor(new)
    if a is None or b is None:
        return None
    label = f"{node.name or node.operator}.{name}"
    return _tensor_change(label, label, a, b)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]} ..."


def _in_attributes(two: _Two, match: Match, a: Node, b: Node, where: str) -> Iterator[GraphDiff]:
    """Compare the graphs in the attributes of a pair of nodes."""
    if not (two.old_model.has_subgraphs and two.new_model.has_subgraphs):
        return
    old, new = two.old_model.attributes(a.row), two.new_model.attributes(b.row)
    for name, attribute in old.items():
        graphs = two.old_model.subgraphs(attribute)
        others = two.new_model.subgraphs(new[name]) if name in new else []
        for row, other in zip(graphs, others, strict=False):
            label = f"{where}/{a.name or a.operator}.{name}".lstrip("/")
            pair = two.old_model.graph(row), two.new_model.graph(other)
            yield from diff_graphs(two.models, pair, label, match.values)
