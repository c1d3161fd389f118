"""What is different between two models, whichever files they are in.

The answer is one of three: all bytes are the same; the bytes differ but a reader of ONNX sees the
same model; or the models differ, and then how. `_changes` has the answer as data.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from onnxroot._changes import Change, GraphDiff, ModelDiff
from onnxroot._graph_diff import diff_graphs, keyed_changes
from onnxroot._graphs import ModelContent
from onnxroot._identity import Identities
from onnxroot._model_view import ModelView
from onnxroot._spec import TENSOR
from onnxroot.errors import UnsupportedModelError

__all__ = ["diff_models"]

_TEXTS = ("producer_name", "producer_version", "domain", "doc_string")
_NUMBERS = ("ir_version", "model_version")
_OTHERS = ("training_info", "configuration")

_Two = tuple[ModelContent, ModelContent]


def diff_models(old: ModelView, new: ModelView) -> ModelDiff:
    """Compare two models; see `onnxroot.diff`.

    Raises:
        UnsupportedModelError: Their graphs nest deeper than Python's stack goes, which takes raised
            limits.
    """
    nothing = ModelDiff(old=old.address, new=new.address, identical=False)
    if old.sizes == new.sizes and old.digests() == new.digests():
        return replace(nothing, identical=True)
    try:
        with _no_collection():
            return _compare(old, new, nothing)
    except RecursionError:
        raise UnsupportedModelError(
            f"{old.address} and {new.address}: their graphs nest too deep to be compared"
        ) from None


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep Python from looking for cycles: among millions of tuples that takes a third longer."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _compare(old: ModelView, new: ModelView, nothing: ModelDiff) -> ModelDiff:
    identities = Identities(old.parts.schema, new.parts.schema)
    models = ModelContent(old.parts, identities), ModelContent(new.parts, identities)
    changes = [*_fields(models), *_keyed(models)]
    graphs = [*diff_graphs(models, (models[0].main, models[1].main))]
    for change in (*_functions(models), *_training(models)):
        if isinstance(change, Change):
            changes.append(change)
        else:
            graphs.append(change)
    if changes or graphs:
        return replace(nothing, changes=tuple(changes), graphs=tuple(graphs))
    return replace(nothing, encoding=tuple(_encoding(models)))


def _fields(models: _Two) -> Iterator[Change]:
    """Compare the model's own fields."""
    for field in (*_NUMBERS, *_TEXTS):
        default = 0 if field in _NUMBERS else ""
        old, new = (model.column("ModelProto", field, default)[0] for model in models)
        if old != new:
            yield Change(kind="changed", what=field, old=str(old), new=str(new))


def _keyed(models: _Two) -> Iterator[Change]:
    """Compare operator sets and metadata; what else there is, as a whole."""
    for what, message, field, key, value in (
        ("opset_import", "OperatorSetIdProto", "opset_import", "domain", "version"),
        ("metadata", "StringStringEntryProto", "metadata_props", "key", "value"),
    ):
        found = []
        for model in models:
            keys, values = model.column(message, key), model.column(message, value)
            rows = model.held(message, "ModelProto", field, 0)
            found.append({keys[row]: str(values[row]) for row in rows})
        if what == "opset_import":
            found = [{name or "ai.onnx": text for name, text in one.items()} for one in found]
        old, new = found
        for name in {**old, **new}:
            a, b = old.get(name), new.get(name)
            if a != b:
                kind = "added" if a is None else "removed" if b is None else "changed"
                yield Change(kind=kind, what=what, name=name, old=a, new=b)  # type: ignore[arg-type]
    rest = [model.unnamed("ModelProto", 0, _OTHERS) for model in models]
    yield from keyed_changes(*rest)


def _functions(models: _Two) -> Iterator[Change | GraphDiff]:
    """Compare the functions."""
    old, new = (model.functions for model in models)
    for name in {**old, **new}:
        if name not in new:
            yield Change(kind="removed", what="function", name=name)
        elif name not in old:
            yield Change(kind="added", what="function", name=name)
        else:
            graphs = models[0].function(old[name]), models[1].function(new[name])
            yield from diff_graphs(models, graphs, f"function {name}")


def _training(models: _Two) -> Iterator[GraphDiff]:
    """Compare the graphs of the training steps."""
    steps = [model.held("TrainingInfoProto", "ModelProto", "training_info", 0) for model in models]
    for i, pair in enumerate(zip(*steps, strict=False)):
        for field in ("initialization", "algorithm"):
            graphs = [
                model.graph(row)
                for model, step in zip(models, pair, strict=True)
                for row in model.held("GraphProto", "TrainingInfoProto", field, step)
            ]
            if len(graphs) == 2:
                yield from diff_graphs(models, (graphs[0], graphs[1]), f"training {i} {field}")


def _encoding(models: _Two) -> Iterator[str]:
    """Say in what two encodings of one model differ."""
    places = [_places(model) for model in models]
    n_moved = sum(a != b for a, b in zip(*places, strict=False))
    if len(places[0]) == len(places[1]) and n_moved:
        yield f"{n_moved} tensors keep their elements in another field or file"
    orders = [[node.name or node.outputs for node in model.main.nodes] for model in models]
    if orders[0] != orders[1]:
        yield "the nodes stand in another order"
    orders = [list(model.main.tensors) for model in models]
    if orders[0] != orders[1]:
        yield "the initializers stand in another order"
    if len({model.parts.tables().deviation for model in models}) > 1:
        yield "the records of protobuf stand in another order or form"
    sizes = [dict(model.parts.sizes) for model in models]
    if sizes[0].keys() != sizes[1].keys():
        files = [", ".join(filter(None, one)) or "none" for one in sizes]
        yield f"other external files: {files[0]} and {files[1]}"
    bits = [_presence(model) for model in models]
    if bits[0] != bits[1]:
        yield "defaults are written out in one and left out in the other"


def _places(model: ModelContent) -> list[tuple[int, ...]]:
    """Return, for each initializer of the main graph, where its elements are."""
    codes = set(model.parts.tensor_codes)
    payloads = model.parts.payloads
    found: dict[int, list[int]] = {}
    for row, field in zip(payloads.row.tolist(), payloads.field.tolist(), strict=True):
        if field in codes:
            number = model.parts.schema.fields[field][1].number
            found.setdefault(row, []).append(number)
    return [tuple(found.get(row, ())) for _, row in sorted(model.main.tensors.items())]


def _presence(model: ModelContent) -> dict[str, int]:
    """Return how many optional fields are there, by message type; tensors move theirs about."""
    tables = model.parts.tables().tables
    return {
        name: int(np.unpackbits(table.presence.view(np.uint8)).sum())
        for name, table in tables.items()
        if name not in {TENSOR, "StringStringEntryProto"}
    }
