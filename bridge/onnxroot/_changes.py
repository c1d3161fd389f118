"""What `_diff` finds, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from math import isfinite
from typing import Any, Literal

from onnxroot._tensor_change import Difference

__all__ = ["Change", "GraphDiff", "Kind", "ModelDiff", "NodeChange", "TensorChange", "plain"]

Kind = Literal["added", "removed", "changed", "renamed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that is said in a few words on both sides.

    Attributes:
        kind: What happened to it.
        what: What it is, in ONNX's words: ``ir_version``, ``input``, ``attribute`` ...
        name: Its name, where there are several.
        old: What the first model says; None where it says nothing.
        new: What the second model says.
    """

    kind: Kind
    what: str
    name: str = ""
    old: str | None = None
    new: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeChange:
    """A node that is there in one model alone, or is not the same in both.

    Attributes:
        kind: What happened to it.
        operator: Its operator (the new one, if that is what changed), with its domain.
        name: Its name in the model that has it, the first if both do; often empty.
        inputs: What it takes, in the model that has it, the second if both do.
        outputs: What it makes, likewise.
        changes: What is not the same: ``operator``, ``input`` (rewired, ``name`` is the position),
            ``outputs``, ``attribute``, ``name``, ``remarks``.
    """

    kind: Kind
    operator: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorChange:
    """A tensor that is there in one model alone, or is not the same in both.

    Attributes:
        kind: ``renamed`` if only its name changed.
        name: Its name, in the first model if that has it; for a tensor in an attribute, the
            node's and the attribute's.
        new_name: Its name in the second model; empty where that does not have it.
        old: Type and shape in the first model.
        new: Type and shape in the second model.
        difference: How the elements differ; None where they don't, or can't be compared.
        remark: Why they can't be compared.
    """

    kind: Kind
    name: str
    new_name: str
    old: str
    new: str
    difference: Difference | None = None
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphDiff:
    """What is different in one graph.

    Attributes:
        where: Empty for the main graph; otherwise the function, or the nodes and attributes that
            lead to it.
        nodes: Nodes that changed.
        tensors: Initializers, and tensors in attributes, that changed.
        changes: Inputs, outputs, and whatever else there is.
        renamed_values: Values that were only given another name, old to new.
    """

    where: str
    nodes: tuple[NodeChange, ...] = ()
    tensors: tuple[TensorChange, ...] = ()
    changes: tuple[Change, ...] = ()
    renamed_values: dict[str, str]

    def __bool__(self) -> bool:
        """Return whether there is a difference."""
        return bool(self.nodes or self.tensors or self.changes or self.renamed_values)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDiff:
    """How two models differ.

    Attributes:
        old: Address of the first model.
        new: Address of the second model.
        identical: Whether all bytes are the same, those of external files too.
        encoding: If they are the same model, but not the same bytes: what is different.
        changes: Versions, metadata, functions that came or went.
        graphs: The graphs that changed.
    """

    old: str
    new: str
    identical: bool
    encoding: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    graphs: tuple[GraphDiff, ...] = ()

    @property
    def same_model(self) -> bool:
        """Whether nothing but the encoding differs."""
        return self.identical or not (self.changes or self.graphs)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON types; numbers that JSON has not as text, such as ``inf``."""
        found: dict[str, Any] = plain(self)
        return {"same_model": self.same_model, **found}


def plain(value: Any) -> Any:
    """Return dataclasses as dicts, and numbers that JSON has not as text."""
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    return value
