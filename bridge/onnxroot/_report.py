"""A model as one page of HTML: everything in it, nothing from the network.

Tables have captions and scoped heads, charts have a text for those who don't see them, and the page
can be printed. It holds no script.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from onnxroot._address import Address, is_remote, parse_address
from onnxroot._busy import Progress
from onnxroot._describe import describe
from onnxroot._html import breakable, html_table
from onnxroot._model_view import ModelView
from onnxroot._readable import number_text, readable, shape_text
from onnxroot._statistics import Statistics, histogram_of, statistics_of
from onnxroot._svg import bar_chart, histogram_chart
from onnxroot._tensors import Tensor
from onnxroot.errors import UnsupportedModelError

__all__ = ["MOST_CHARTS", "report_pages"]

MOST_CHARTS = 120
"""How many distributions are drawn: those of the largest tensors."""

_MOST_OPERATORS = 40


def report_pages(view: ModelView, progress: Progress | None = None) -> Iterator[str]:
    """Yield the page in pieces; every tensor is read, a few MiB at a time.

    Args:
        view: The model.
        progress: Is told how many bytes of the tensors are read.

    Raises:
        IntegrityError: A tensor is not what was stored.
    """
    progress = progress or (lambda _done, _all: None)
    total = sum(tensor.nbytes for tensor in view.tensors.values())
    found = describe(view)
    name, place = _name(view), _place(view)
    below = f'<p class="soft mono">{escape(place)}</p>' if place != name else ""
    yield (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(name)}: ONNX model</title><style>{_style()}</style></head><body>\n"
        f"<header><h1>{breakable(name)}</h1>{below}"
    )
    yield _navigation(found) + "</header>\n<main>\n"
    yield _summary(found) + _interface(view) + _operators(found)
    statistics = {}
    done = 0
    for tensor in view.tensors.values():
        statistics[tensor.name] = _statistics(tensor)
        done += tensor.nbytes
        progress(done, total)
    yield from _distributions(view, statistics)
    yield from _parameters(view, statistics)
    yield _origin(found, found["sha256"] or _sha256(view))
    yield "</main>\n<footer><p>Made by onnxroot.</p></footer>\n</body></html>\n"


@cache
def _style() -> str:
    return files("onnxroot").joinpath("_report.css").read_text(encoding="utf-8")


def _name(view: ModelView) -> str:
    return _place(view).rpartition(":")[2].rpartition("/")[2]


def _place(view: ModelView) -> str:
    """Return the address without what people who get the page should not see.

    That is the folders, and the query of a URL, in which there may be a key.
    """
    address = parse_address(view.address)
    path = address.path.partition("?")[0] if is_remote(address.path) else address.path
    return str(Address(Path(path).name, address.directory))


def _navigation(found: dict[str, Any]) -> str:
    items = [
        ("summary", "Summary"),
        ("interface", "Inputs and outputs"),
        ("operators", "Operators"),
    ]
    if found["tensors"]:
        items += [("distributions", "Weights"), ("parameters", "Parameters")]
    items.append(("origin", "Origin"))
    links = "".join(f'<li><a href="#{key}">{text}</a></li>' for key, text in items)
    return f'<nav aria-label="Sections"><ul>{links}</ul></nav>'


def _summary(found: dict[str, Any]) -> str:
    opsets = ", ".join(f"{name or 'ai.onnx'} {n}" for name, n in found["opset_imports"].items())
    cards = [
        ("Nodes", f"{found['nodes']:,}"),
        ("Parameters", f"{found['parameters']:,}"),
        ("Tensors", f"{len(found['tensors']):,}"),
        ("Size as ONNX", readable(found["onnx_nbytes"])),
        ("Operator sets", opsets or "none"),
        ("IR version", str(found["ir_version"] or "none")),
        ("Producer", found["producer"] or "unknown"),
    ]
    if found["format_version"]:
        cards.insert(4, ("Size in the ROOT file", readable(found["stored_nbytes"])))
    boxes = "".join(f"<div><dt>{k}</dt><dd>{escape(v)}</dd></div>" for k, v in cards)
    return f'<section id="summary"><h2>Summary</h2><dl>{boxes}</dl></section>\n'


def _interface(view: ModelView) -> str:
    rows = []
    for kind, values in (("input", view.inputs), ("output", view.outputs)):
        for value in values:
            shape = (
                "?"
                if value.shape is None
                else " x ".join("?" if d is None else str(d) for d in value.shape)
            )
            rows.append((value.name, kind, value.type or "?", shape or "scalar"))
    table = html_table("What the model takes and gives", ("Name", "Kind", "Type", "Shape"), rows)
    return f'<section id="interface"><h2>Inputs and outputs</h2>{table}</section>\n'


def _operators(found: dict[str, Any]) -> str:
    counts = found["operators"]
    if not counts:
        return (
            '<section id="operators"><h2>Operators</h2><p>The model has no nodes.</p></section>\n'
        )
    shown = dict(list(counts.items())[:_MOST_OPERATORS])
    n_rest = sum(counts.values()) - sum(shown.values())
    rest = f" {len(counts) - len(shown)} more operators have {n_rest:,} nodes." if n_rest else ""
    chart = bar_chart("Nodes by operator", shown)
    n_inside = found["nodes_inside"]
    inside = f" {n_inside:,} more are in subgraphs, functions or training." if n_inside else ""
    caption = f"{found['nodes']:,} nodes of {len(counts)} operators.{rest}{inside}"
    return (
        f'<section id="operators"><h2>Operators</h2><figure>'
        f'<div class="chart">{chart}</div>'
        f"<figcaption>{caption}</figcaption></figure></section>\n"
    )


def _statistics(tensor: Tensor) -> Statistics | None:
    try:
        return statistics_of(tensor)
    except UnsupportedModelError:  # malformed: it is in the table, without figures
        return None


def _distributions(view: ModelView, statistics: dict[str, Statistics | None]) -> Iterator[str]:
    known = [
        (tensor, found)
        for tensor in view.tensors.values()
        if (found := statistics[tensor.name]) is not None
        and found.min is not None
        and tensor.size > 1
    ]
    if view.tensors and not known:
        text = "No tensor has more than one number: there is no distribution to draw."
        yield f'<section id="distributions"><h2>Weights</h2><p>{text}</p></section>\n'
    if not known:
        return
    largest = sorted(known, key=lambda pair: -pair[0].size)[:MOST_CHARTS]
    drawn = {tensor.name for tensor, _ in largest}
    yield '<section id="distributions"><h2>Weights</h2>'
    if len(known) > len(drawn):
        yield f"<p>The {len(drawn)} largest of {len(known):,} tensors, in the model's order.</p>"
    yield '<div class="grid">'
    for tensor, found in known:
        if tensor.name not in drawn:
            continue
        histogram = histogram_of(tensor, found, _n_bins(tensor.size))
        if histogram:
            chart = histogram_chart(f"Distribution of {tensor.name}", histogram)
            words = f"mean {number_text(found.mean)}, standard deviation {number_text(found.std)}"
            yield (
                f"<figure>{chart}<figcaption><b>{breakable(tensor.name)}</b>{tensor.data_type}, "
                f"{shape_text(tensor.shape)}; {words}</figcaption></figure>\n"
            )
    yield "</div></section>\n"


def _n_bins(size: int) -> int:
    """Return how many bins show a distribution of so many values: few ones in few."""
    return max(8, min(48, int(2 * size**0.5)))


def _parameters(view: ModelView, statistics: dict[str, Statistics | None]) -> Iterator[str]:
    if not view.tensors:
        return
    heads = (
        "Name",
        "Type",
        "Shape",
        "Size>",
        "Min>",
        "Mean>",
        "Max>",
        "Std>",
        "Zeros>",
        "Not finite>",
    )
    rows = []
    for tensor in view.tensors.values():
        found = statistics[tensor.name]
        row = [tensor.name, tensor.data_type, shape_text(tensor.shape), readable(tensor.nbytes)]
        if found is None:
            rows.append([*row, *["-"] * 6])
            continue
        figures = [number_text(x) for x in (found.min, found.mean, found.max, found.std)]
        rows.append([*row, *figures, f"{found.n_zeros:,}", f"{found.n_nan + found.n_infinite:,}"])
    total = f"{view.n_parameters:,} parameters in {len(rows):,} tensors"
    yield '<section id="parameters"><h2>Parameters</h2>'
    yield html_table(total, heads, rows)
    yield "</section>\n"


def _sha256(view: ModelView) -> str:
    """Return the SHA-256 of the ONNX file; none if an external file is missing."""
    try:
        return view.digests()[""]
    except UnsupportedModelError:
        return ""


def _origin(found: dict[str, Any], sha256: str) -> str:
    rows = [("SHA-256 of the ONNX file", sha256)] if sha256 else []
    if found["written"]:
        rows.append(("Written", found["written"]))
    rows += [(f"External file {f['location']}", f["sha256"]) for f in found["external_files"]]
    rows += [(f"Made with: {key}", text) for key, text in found["provenance"].items() if text]
    rows += [
        (f"Metadata of the model: {key}", text) for key, text in found["model_metadata"].items()
    ]
    rows += [(f"Note: {key}", text) for key, text in found["metadata"].items()]
    table = html_table("Where the model comes from", ("What", "Value"), rows)
    return f'<section id="origin"><h2>Origin</h2>{table}</section>\n'
