"""What operators of a TensorFlow graph may do beside computing: read and write files, run code.

They may do so when the graph is run, or already when it is opened. All operators with a state of
their own are refused that are not known to be harmless.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from onnxroot.adapter import Options
from onnxroot.errors import UnsupportedModelError

__all__ = ["refuse_side_effects"]

_HARMLESS = {
    "AnonymousHashTable", "AnonymousMutableHashTable", "Assert", "Assign",
    "AssignAddVariableOp", "AssignSubVariableOp", "AssignVariableOp", "Bernoulli",
    "DestroyResourceOp", "DisableCopyOnRead", "EmptyTensorList", "HashTable", "HashTableV2",
    "If", "InitializeTable", "InitializeTableV2", "IsVariableInitialized",
    "LookupTableExportV2", "LookupTableFind", "LookupTableFindV2", "LookupTableImportV2",
    "LookupTableSize", "LookupTableSizeV2", "Multinomial", "MutableHashTableV2", "NoOp",
    "PartitionedCall", "Placeholder", "RandomGammaV2", "RandomStandardNormal",
    "RandomUniform", "RandomUniformInt", "ReadVariableOp", "ResourceGather",
    "ResourceGatherNd", "RngReadAndSkip", "Stack", "StackPopV2", "StackPushV2", "StackV2",
    "StatefulPartitionedCall", "StatefulRandomBinomial", "StatefulStandardNormalV2",
    "StatefulUniform", "StatefulUniformInt", "TensorArrayCloseV3", "TensorArrayConcatV3",
    "TensorArrayGatherV3", "TensorArrayReadV3", "TensorArrayScatterV3", "TensorArraySizeV3",
    "TensorArrayV3", "TensorArrayWriteV3", "TruncatedNormal", "VarHandleOp",
    "VarIsInitializedOp", "Variable", "VariableShape", "VariableV2", "While",
}  # fmt: skip
_HARMLESS_KINDS = re.compile(
    r"(CudnnRNN|IteratorGetNext|Optional|Resource(Sparse)?Apply|ResourceScatter|TensorList)\w*"
)
_READS_FILES = {
    "InitializeTableFromTextFile", "InitializeTableFromTextFileV2", "MatchingFiles", "ReadFile",
    "Restore", "RestoreSlice",
}  # fmt: skip
_OF_SAVERS = {"MergeV2Checkpoints", "Save", "SaveSlices", "SaveV2", "RestoreV2", "ShardedFilename"}
_SAVER = "__inference__traced_save", "__inference__traced_restore"


def refuse_side_effects(
    tf: Any, path: Path, graph: Any, options: Options, ends: Iterable[str] | None = None
) -> None:
    """Refuse a graph with operators that may do more than compute.

    Args:
        tf: The module.
        path: Where it is from, for the message.
        graph: A GraphDef.
        options: `allow_pickle` counts.
        ends: Tensors and nodes that will be asked for; None if all may be.

    Raises:
        UnsupportedModelError: It has some, and the user has not allowed them.
    """
    if options.allow_pickle:
        return
    found = sorted(set(_side_effects(tf, graph, ends)))
    if found:
        raise UnsupportedModelError(
            f"{path}: has operators that may write or read files, or run code: "
            f"{', '.join(found[:5])}; if you trust its author, allow them (--allow-pickle, "
            "allow_pickle=True)"
        )


def _side_effects(tf: Any, graph: Any, ends: Iterable[str] | None) -> Iterator[str]:
    """Yield operators; saving and restoring is harmless where nobody asks for it."""
    nodes = {node.name: node for node in graph.node}
    needed = set(nodes) if ends is None else _needed(nodes, ends)
    inner = [node for function in graph.library.function for node in function.node_def]
    called = {
        attribute.func.name
        for node in (*inner, *(nodes[name] for name in needed))
        for attribute in node.attr.values()
    }
    for function in graph.library.function:
        name = function.signature.name
        of_saver = ends is not None and name.startswith(_SAVER) and name not in called
        yield from _suspicious(tf, function.node_def, savers=of_saver)
    for name, node in nodes.items():
        yield from _suspicious(tf, [node], savers=name not in needed)


def _needed(nodes: Mapping[str, Any], ends: Iterable[str]) -> set[str]:
    """Return the names of nodes that must run for others."""
    found: set[str] = set()
    stack = list(ends)
    while stack:
        name = stack.pop().removeprefix("^").partition(":")[0]
        if name in nodes and name not in found:
            found.add(name)
            stack += nodes[name].input
    return found


def _suspicious(tf: Any, nodes: Iterable[Any], *, savers: bool) -> Iterator[str]:
    registry = tf.raw_ops
    for node in nodes:
        operator = node.op
        if savers and operator in _OF_SAVERS:
            continue
        unknown = operator not in _HARMLESS and _is_stateful(registry, operator)
        if unknown or operator in _READS_FILES | _OF_SAVERS:
            yield operator


def _is_stateful(registry: Any, operator: str) -> bool:
    """Say whether an operator has, or may have, effects beside its outputs."""
    from tensorflow.python.framework import (  # noqa: PLC0415
        op_def_registry,  # there is no public way to ask
    )

    if _HARMLESS_KINDS.fullmatch(operator):
        return False
    definition = op_def_registry.get(operator)
    if definition is None:
        return hasattr(registry, operator)  # unknown: can't be run either
    return bool(definition.is_stateful)
