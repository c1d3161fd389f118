"""Which node of one graph has become which node of another.

Two ways are tried, and the one taken that leaves fewer nodes changed. *By names*: the node that
makes the same values, the one of the same name, then the one of the same operator, in order. *By
place*: the node that computes the same from the graph's inputs, then the one in the same place in
the order of operators. So a model whose names were drawn anew is known again, and so is one in
which a new node has shifted all the numbers in the names behind it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence

from onnxroot._graphs import Graph, Node

__all__ = ["Match", "align", "match_nodes"]

_FURTHEST = 500  # most insertions and deletions that `align` looks for: it takes their square

Numbering = Callable[[Hashable], int]


class Match:
    """Pairs of nodes, and what their outputs are called.

    Attributes:
        pairs: Old and new node, in the order in which they found each other.
        removed: Old nodes without a new one.
        added: New nodes without an old one.
        values: New name of each old value that has one.
    """

    def __init__(
        self, old: Graph, new: Graph, partner: dict[Node, Node], values: dict[str, str]
    ) -> None:
        """Follow the outputs of the pairs.

        Args:
            old: A graph.
            new: Another.
            partner: The new node of each old one.
            values: New name of inputs, initializers and values from outside, by old name.
        """
        taken = set(partner.values())
        self.pairs = list(partner.items())
        self.removed = [node for node in old.nodes if node not in partner]
        self.added = [node for node in new.nodes if node not in taken]
        self.values = dict(values)
        for a, b in self.pairs:
            self.values.update(zip(a.outputs, b.outputs, strict=False))
        self.values.pop("", None)
        self._taken = set(self.values.values())

    def rename(self, values: dict[str, str]) -> None:
        """Take in new names of values, by old name."""
        self.values |= values
        self._taken.update(values.values())

    def renamed(self, names: Sequence[str]) -> tuple[str | None, ...]:
        """Return what values are called in the new graph; None where another has that name."""
        values, taken = self.values, self._taken
        return tuple(
            [values.get(name, None if name in taken else name) if name else name for name in names]
        )

    @property
    def n_changes(self) -> int:
        """How many nodes were added, removed, rewired or have another operator."""
        changed = sum(
            a.operator != b.operator or a.content != b.content or self.renamed(a.inputs) != b.inputs
            for a, b in self.pairs
        )
        return changed + len(self.added) + len(self.removed)


def match_nodes(old: Graph, new: Graph, values: dict[str, str], number: Numbering) -> Match:
    """Find out which node has become which: the same pairs, whichever graph is the old one.

    Args:
        old: A graph.
        new: Another.
        values: New name of inputs, initializers and values from outside, by old name.
        number: Gives the same number for the same content.

    """
    if _comes_first(old, new):
        return _match(old, new, values, number)
    back = {new_name: name for name, new_name in values.items()}
    match = _match(new, old, back, number)
    return Match(old, new, {b: a for a, b in match.pairs}, values)


def _comes_first(a: Graph, b: Graph) -> bool:
    """Say which of two graphs is the first, by what is in it."""
    for x, y in zip(a.nodes, b.nodes, strict=False):
        keys = [(node.operator, node.name, node.inputs, node.outputs) for node in (x, y)]
        if keys[0] != keys[1]:
            return keys[0] < keys[1]
    return len(a.nodes) <= len(b.nodes)


def _match(old: Graph, new: Graph, values: dict[str, str], number: Numbering) -> Match:
    by_name = Match(old, new, _by_names(old, new), values)
    if by_name.n_changes <= _least_changes(old, new):
        return by_name
    by_place = Match(old, new, _by_place(old, new, values, number), values)
    return min(by_name, by_place, key=lambda match: match.n_changes)


def _least_changes(old: Graph, new: Graph) -> int:
    """Return how many nodes are changed in any pairing: those whose like the other has not."""
    left = Counter((node.operator, node.content) for node in old.nodes)
    left.subtract((node.operator, node.content) for node in new.nodes)
    return max(sum(n for n in left.values() if n > 0), -sum(n for n in left.values() if n < 0))


def _by_names(old: Graph, new: Graph) -> dict[Node, Node]:
    pairing = _Pairing(old, new)
    pairing.by_key(lambda node: (node.operator, node.outputs))
    pairing.by_key(lambda node: (node.operator, node.name) if node.name else None)
    pairing.by_key(lambda node: node.outputs or None)
    pairing.by_key(lambda node: node.name or None)
    pairing.by_order()
    return pairing.partner


def _by_place(
    old: Graph, new: Graph, values: dict[str, str], number: Numbering
) -> dict[Node, Node]:
    pairing = _Pairing(old, new)
    computed = _computed(old, values, number) | _computed(new, {}, number)
    pairing.by_key(lambda node: computed[node])
    pairing.by_order()
    pairing.by_key(lambda node: node.outputs or None)
    return pairing.partner


def _computed(graph: Graph, values: dict[str, str], number: Numbering) -> dict[Node, Hashable]:
    """Return a number for what each node computes: equal where all that leads to it is equal.

    Args:
        graph: A graph.
        values: What inputs and initializers are called in the other graph.
        number: Gives the same number for the same content.
    """
    made: dict[str, int] = {}
    found: dict[Node, Hashable] = {}
    for node in graph.nodes:
        sources = tuple(
            made[name] if name in made else number(("value", values.get(name, name)))
            for name in node.inputs
        )
        mine = number((node.operator, node.content, sources))
        found[node] = mine
        for i, name in enumerate(node.outputs):
            made[name] = number((mine, i))
    return found


class _Pairing:
    """Nodes that have found each other so far."""

    def __init__(self, old: Graph, new: Graph) -> None:
        self.partner: dict[Node, Node] = {}
        self._old, self._new = old.nodes, new.nodes

    def _left(self) -> tuple[list[Node], list[Node]]:
        taken = set(self.partner.values())
        return (
            [node for node in self._old if node not in self.partner],
            [node for node in self._new if node not in taken],
        )

    def by_key(self, key: Callable[[Node], Hashable | None]) -> None:
        """Pair nodes of one key, in order; those whose key is None stay."""
        old, new = self._left()
        start = 0
        for a, b in zip(old, new, strict=False):  # most models have most in common
            mine = key(a)
            if mine is None or mine != key(b):
                break
            self.partner[a] = b
            start += 1
        old, new = old[start:], new[start:]
        waiting: dict[Hashable, list[Node]] = defaultdict(list)
        for node in reversed(new):
            waiting[key(node)].append(node)
        waiting.pop(None, None)
        for node in old:
            found = waiting.get(key(node))
            if found:
                self.partner[node] = found.pop()

    def by_order(self) -> None:
        """Pair nodes of one operator that stand in the same order."""
        old, new = self._left()
        pairs = align([node.operator for node in old], [node.operator for node in new])
        for i, j in pairs:
            self.partner[old[i]] = new[j]


def align(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]]:
    """Find equal items in the same order, with few items left over on either side.

    Args:
        old: A sequence.
        new: Another.

    Returns:
        Pairs of positions, ascending. Where the sequences are too different for the best solution,
        equal beginnings and ends, and between them the first of the old with the first of the new.

    Source: E. W. Myers, An O(ND) difference algorithm and its variations, Algorithmica 1 (1986).
    """
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    middle = old[start : len(old) - end], new[start : len(new) - end]
    found = _shortest(*middle)
    if found is None:
        found = _first_come(*middle)
    pairs = [(i, i) for i in range(start)]
    pairs += [(start + i, start + j) for i, j in found]
    pairs += [(len(old) - end + i, len(new) - end + i) for i in range(end)]
    return pairs


def _shortest(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]] | None:
    """Return the pairs of the shortest edit, None where it is longer than `_FURTHEST`."""
    if not old or not new:
        return []
    reached = {1: 0}  # furthest position in `old` on each diagonal
    history: list[dict[int, int]] = []
    for n_edits in range(min(len(old) + len(new), _FURTHEST) + 1):
        history.append(dict(reached))
        for diagonal in range(-n_edits, n_edits + 1, 2):
            down = diagonal == -n_edits or (
                diagonal != n_edits and reached[diagonal - 1] < reached[diagonal + 1]
            )
            x = reached[diagonal + 1] if down else reached[diagonal - 1] + 1
            while x < len(old) and x - diagonal < len(new) and old[x] == new[x - diagonal]:
                x += 1
            reached[diagonal] = x
            if x >= len(old) and x - diagonal >= len(new):
                return _walk_back(history, len(old), len(new))
    return None


def _walk_back(history: list[dict[int, int]], x: int, y: int) -> list[tuple[int, int]]:
    pairs = []
    for n_edits in range(len(history) - 1, -1, -1):
        reached, diagonal = history[n_edits], x - y
        down = diagonal == -n_edits or (
            diagonal != n_edits and reached[diagonal - 1] < reached[diagonal + 1]
        )
        before = diagonal + 1 if down else diagonal - 1
        before_x = reached[before] if n_edits else 0
        before_y = before_x - before if n_edits else 0
        while x > before_x and y > before_y:
            x, y = x - 1, y - 1
            pairs.append((x, y))
        x, y = before_x, before_y
    return pairs[::-1]


def _first_come(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]]:
    """Pair equal items in the order in which they come, whatever lies between them."""
    waiting: dict[str, list[int]] = defaultdict(list)
    for j in range(len(new) - 1, -1, -1):
        waiting[new[j]].append(j)
    return [(i, waiting[item].pop()) for i, item in enumerate(old) if waiting[item]]
