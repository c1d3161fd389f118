"""What ``ls`` and ``show`` print, for people: as wide as the terminal, and plain when piped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from onnxroot._columns import (
    bar,
    columns,
    fit,
    folded,
    is_terminal,
    print_line,
    print_lines,
    terminal_width,
)
from onnxroot._output import say
from onnxroot._readable import number_text, readable, shape_text

__all__ = [
    "print_list",
    "print_model",
    "print_node",
    "print_nodes",
    "print_tensor",
]

_INDENT = " " * 12

_Placed = tuple[str, dict[str, Any] | None]
"""What stands in front of a line of a list, and the model in it."""


def print_list(rows: list[dict[str, Any]], *, long: bool) -> None:
    """Print a line per model; the rest of a long listing below it where the line is too short.

    On a terminal, models of one directory stand below its name; a pipe gets whole names.
    """
    heads = ["model", "nodes>", "parameters>", "in file>", "as ONNX>", "opset>", "written>"]
    more = ["IR>", "producer", "sha256"]
    placed: list[_Placed] = [(row["name"] or ".", row) for row in rows]
    if is_terminal():
        placed = list(_by_directory(rows))
    cells = [[label, *(_figures(row) if row else [])] for label, row in placed]
    rest = [_origin(row) if row else [] for _, row in placed]
    if not long:
        print_lines(columns(heads, cells))
        return
    all_cells = [a + b for a, b in zip(cells, rest, strict=True)]
    if fit(heads + more, all_cells):
        print_lines(columns(heads + more, all_cells))
        return
    laid_out = columns(heads, cells)
    for (label, row), lines, found in zip(placed, laid_out[1:], rest, strict=True):
        if row:
            indent = " " * (len(label) - len(label.lstrip()) + 4)
            version, producer, digest = found
            for text in (f"IR version {version}, by {producer}", f"sha256 {digest}"):
                lines += [indent + part for part in folded(text, terminal_width() - len(indent))]
    print_lines(laid_out)


def _by_directory(rows: list[dict[str, Any]]) -> Iterator[_Placed]:
    """Yield models by directory, and in front of several in one its name, without a model."""
    parts = [(row["name"].rpartition("/"), row) for row in rows]
    for directory, found in groupby(sorted(parts, key=lambda p: p[0][::2]), lambda p: p[0][0]):
        models = list(found)
        alone = len(models) == 1 or not directory
        if not alone:
            yield f"{directory}/", None
        for (_, _, name), row in models:
            yield (row["name"] or "." if alone else f"  {name}"), row


def _figures(row: dict[str, Any]) -> list[str]:
    return [
        f"{row['nodes']:,}",
        f"{row['parameters']:,}",
        readable(row["stored_nbytes"]),
        readable(row["onnx_nbytes"]),
        _opset(row),
        (row["written"] or "-")[:16],
    ]


def _origin(row: dict[str, Any]) -> list[str]:
    return [str(row["ir_version"] or "-"), row["producer"] or "-", row["sha256"]]


def _opset(row: dict[str, Any]) -> str:
    """Return the version of ONNX's own operators, or else that of others, as ``ml 3``."""
    if row["opset"]:
        return str(row["opset"])
    others = (f"{name.rpartition('.')[2]} {n}" for name, n in row["opset_imports"].items())
    return next(others, "-")


def print_model(found: dict[str, Any]) -> None:
    """Print a description in words, with a table of the tensors."""
    for label, text in _head(found):
        print_line(label, text)
    _operators(found)
    if not found["tensors"]:
        return
    say()
    n_tensors = len(found["tensors"])
    print_line("parameters", f"{found['parameters']:,} in {n_tensors:,} tensors")
    with_statistics = "statistics" in found["tensors"][0]
    heads = ["name", "type", "shape", "size>"]
    if with_statistics:
        heads += ["min>", "mean>", "max>", "zeros>"]
    known = [tensor["statistics"] or {} for tensor in found["tensors"]] if with_statistics else []
    finite = not any(one.get("n_nan") or one.get("n_infinite") for one in known)
    heads += [] if finite else ["nan/inf>"]
    cells = [_tensor_cells(tensor, with_statistics) for tensor in found["tensors"]]
    print_lines(columns(heads, cells if not finite else [row[: len(heads)] for row in cells]))


def _head(found: dict[str, Any]) -> Iterable[tuple[str, str]]:
    yield "model", found["address"]
    version = f"IR version {found['ir_version']}" if found["ir_version"] else "no IR version"
    producer = found["producer"] or "an unknown producer"
    yield "onnx", f"{readable(found['onnx_nbytes'])}, {version}, by {producer}"
    if found["format_version"]:
        yield "in file", f"{readable(found['stored_nbytes'])}, written {found['written'] or '?'}"
    if found["sha256"]:
        yield "sha256", found["sha256"]
    opsets = [f"{name or 'ai.onnx'} {n}" for name, n in found["opset_imports"].items()]
    yield "opsets", ", ".join(opsets) or "none"
    for key, label in (("inputs", "input"), ("outputs", "output")):
        for value in found[key]:
            yield label, value
    for file in found["external_files"]:
        yield "external", f"{file['location']}, {readable(file['nbytes'])}"
    for key, label in (("model_metadata", "metadata"), ("metadata", "note")):
        for name, value in found[key].items():
            yield label, f"{name}: {value}"
    made = [f"{name} {value}" for name, value in found["provenance"].items() if value]
    if made:
        yield "written by", ", ".join(made)


def _operators(found: dict[str, Any]) -> None:
    operators = found["operators"]
    if not operators:
        print_line("operators", "none")
        return
    n_inside = found["nodes_inside"]
    count = f"{found['nodes']:,} {'node' if found['nodes'] == 1 else 'nodes'}"
    inside = f"; {n_inside:,} more in subgraphs, functions or training" if n_inside else ""
    if not is_terminal():
        counts = ", ".join(f"{name} x {n:,}" for name, n in operators.items())
        print_line("operators", f"{count}: {counts}{inside}")
        return
    print_line("operators", f"{count}{inside}")
    most = max(operators.values())
    digits = len(f"{most:,}")
    indent = _INDENT if terminal_width() >= 60 else "  "
    width = min(max(map(len, operators)), max(8, terminal_width() - len(indent) - digits - 7))
    room = max(5, min(40, terminal_width() - width - len(indent) - digits - 2))
    for name, n in operators.items():
        *above, last = folded(name, width)
        for part in above:
            say(indent, part)
        say(f"{indent}{last:<{width}} {n:>{digits},} ", (bar(n / most, room), "cyan"))


def _tensor_cells(tensor: dict[str, Any], with_statistics: bool) -> list[str]:
    shape = shape_text(tensor["shape"])
    cells = [tensor["name"], tensor["type"], shape, readable(tensor["nbytes"])]
    if not with_statistics:
        return cells
    found = tensor["statistics"]
    if found is None:
        return [*cells, *"-----"]
    figures = [number_text(found[name], 4) for name in ("min", "mean", "max")]
    n_not_finite = found["n_nan"] + found["n_infinite"]
    return [*cells, *figures, f"{found['n_zeros']:,}", f"{n_not_finite:,}"]


def print_nodes(nodes: Iterable[dict[str, Any]]) -> None:
    """Print nodes in order, a line each, with a line in front of those of each other graph."""
    cells = []
    graph = ""
    for node in nodes:
        if node["graph"] != graph:
            graph = node["graph"]
            cells.append(["", f"@ {graph}"])
        values = [", ".join(name or "-" for name in node[key]) for key in ("inputs", "outputs")]
        name = node["name"] or "-"
        cells.append([str(node["position"]), node["operator"], name, " -> ".join(values).strip()])
    print_lines(columns(["#>", "operator", "name", "values~"], cells))


def print_node(node: dict[str, Any]) -> None:
    """Print one node, what it takes and from where, what it makes and for whom."""
    where = f" of {node['graph']}" if node["graph"] else ""
    print_line("node", f"{node['name'] or '(no name)'}, number {node['position']}{where}")
    print_line("operator", node["operator"])
    for name, text in node["attributes"].items():
        print_line("attribute", f"{name} = {text}")
    for value in node["inputs"]:
        source = f"  from {value['from']}" if value["from"] else ""
        print_line("input", f"{value['value'] or '(none)'}{source}")
    for value in node["outputs"]:
        users = f"  to {', '.join(value['to'])}" if value["to"] else "  not used"
        print_line("output", f"{value['value'] or '(none)'}{users}")


def print_tensor(tensor: dict[str, Any]) -> None:
    """Print what a tensor is like, with a histogram."""
    shape = shape_text(tensor["shape"])
    print_line("tensor", tensor["name"])
    print_line("type", f"{tensor['type']}, {shape}, {readable(tensor['nbytes'])}")
    for user in tensor["users"]:
        print_line("used by", f"{user['operator']} {user['node']} input {user['input']}")
    found = tensor["statistics"]
    if found is None:
        print_line("statistics", f"none for {tensor['type']}")
        return
    print_line("elements", f"{found['n_elements']:,}")
    for key in ("min", "mean", "max", "std"):
        print_line(key, number_text(found[key]))
    for key, label in (("n_zeros", "zeros"), ("n_nan", "NaN"), ("n_infinite", "infinite")):
        if found[key] or key == "n_zeros":
            share = 100 * found[key] / max(1, found["n_elements"])
            print_line(label, f"{found[key]:,} ({share:.3g}%)")
    if tensor["histogram"]:
        say()
        _histogram(tensor["histogram"])


def _histogram(found: dict[str, Any]) -> None:
    counts, low, high = found["counts"], found["low"], found["high"]
    width = (high - low) / len(counts)
    edges = [number_text(low + i * width) for i in range(len(counts) + 1)]
    left = max(map(len, edges))
    digits = max(len(f"{n:,}") for n in counts)
    room = max(10, min(terminal_width(), 120) - 2 * left - digits - 8)
    for i, n in enumerate(counts):
        line = f"{edges[i]:>{left}} .. {edges[i + 1]:>{left}} {n:>{digits},} "
        say(line, (bar(n / max(1, *counts), room), "cyan")) if n else say(line.rstrip())
