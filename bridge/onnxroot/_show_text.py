"""What ``ls`` and ``show`` print, for people: as wide as the terminal, and plain when piped."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from onnxroot._columns import bar, columns, is_terminal, print_line, print_lines, terminal_width
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
_WIDE = 160  # characters that a long listing needs


def print_list(rows: list[dict[str, Any]], *, long: bool) -> None:
    """Print a line per model; the rest of a long listing below it where the line is too short."""
    heads = ["model", "nodes>", "parameters>", "in file>", "as ONNX>", "opset>", "written"]
    more = ["IR>", "producer", "sha256"] if long else []
    cells = [
        [
            row["name"] or ".",
            f"{row['nodes']:,}",
            f"{row['parameters']:,}",
            readable(row["stored_nbytes"]),
            readable(row["onnx_nbytes"]),
            str(row["opset"] or "-"),
            (row["written"] or "-")[:16],
        ]
        for row in rows
    ]
    rest = [[str(row["ir_version"] or "-"), row["producer"] or "-", row["sha256"]] for row in rows]
    if long and not (is_terminal() and terminal_width() < _WIDE):
        print_lines(columns(heads + more, [a + b for a, b in zip(cells, rest, strict=True)]))
        return
    laid_out = columns(heads, cells)
    if long:
        for lines, (version, producer, digest) in zip(laid_out[1:], rest, strict=True):
            lines += [f"    IR version {version}, by {producer}", f"    sha256 {digest}"]
    print_lines(laid_out)


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
    heads += ["min>", "mean>", "max>", "zeros>"] if with_statistics else []
    print_lines(columns(heads, [_tensor_cells(t, with_statistics) for t in found["tensors"]]))


def _head(found: dict[str, Any]) -> Iterable[tuple[str, str]]:
    yield "model", found["address"]
    version = f"IR version {found['ir_version']}, by {found['producer'] or 'an unknown producer'}"
    yield "onnx", f"{readable(found['onnx_nbytes'])}, {version}"
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
    if not is_terminal():
        counts = ", ".join(f"{name} x {n}" for name, n in operators.items())
        print_line("operators", f"{found['nodes']} nodes: {counts}")
        return
    print_line("operators", f"{found['nodes']:,} nodes")
    width = max(map(len, operators))
    indent = _INDENT if terminal_width() >= 60 else "  "
    room = max(5, min(40, terminal_width() - width - len(indent) - 10))
    most = max(operators.values())
    for name, n in operators.items():
        line = f"{indent}{name:<{width}} {n:>7,} "
        say(line, (bar(n / most, room), "cyan"))


def _tensor_cells(tensor: dict[str, Any], with_statistics: bool) -> list[str]:
    shape = shape_text(tensor["shape"])
    cells = [tensor["name"], tensor["type"], shape, readable(tensor["nbytes"])]
    if not with_statistics:
        return cells
    found = tensor["statistics"]
    if found is None:
        return [*cells, "-", "-", "-", "-"]
    figures = [number_text(found[name]) for name in ("min", "mean", "max")]
    return [*cells, *figures, f"{found['n_zeros']:,}"]


def print_nodes(nodes: Iterable[dict[str, Any]]) -> None:
    """Print the nodes of a graph in order, a line each."""
    cells = [
        [
            str(i),
            node["operator"],
            node["name"] or "-",
            f"{', '.join(node['inputs'])} -> {', '.join(node['outputs'])}",
        ]
        for i, node in enumerate(nodes)
    ]
    print_lines(columns(["#>", "operator", "name", "values"], cells))


def print_node(node: dict[str, Any]) -> None:
    """Print one node, what it takes and from where, what it makes and for whom."""
    print_line("node", f"{node['name'] or '(no name)'}, number {node['position']}")
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
