"""What PyTorch's archives would do when they are opened or run, found out before.

``torch.export.load`` unpickles weights, constants and sample inputs without limits, has SymPy
evaluate shapes as Python, imports what describes nested inputs, and calls any function of torch's
that a node names. So nothing is handed to it but what is on the lists below. TorchScript runs no
Python, but a few of its operators read and write files.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import IO, Any

from onnxroot.errors import FormatError, UnsupportedModelError
from onnxroot_adapters._errors import first_line

__all__ = ["check_program", "check_script"]

_NAMESPACES = (
    "aten", "prim", "prims", "higher_order", "quantized", "quantized_decomposed",
    "_quantized", "quantization", "torchvision", "onnx", "onnx_symbolic",
)  # fmt: skip
_FILES = re.compile(r"\b(from_file|save|load)\b")  # of aten's operators

_TARGET = re.compile(
    rf"torch\.ops\.({'|'.join(_NAMESPACES)})\.\w+(\.\w+)?"
    r"|_operator\.(add|sub|mul|floordiv|truediv|mod|pow|neg|pos|abs|eq|ne|lt|le|gt|ge|and_|or_|xor"
    r"|not_|getitem|lshift|rshift|index)"
    r"|math\.(ceil|floor|trunc|sqrt|log2|pow|round)|torch\.sym_\w+|torch\._sym_\w+"
)
_SYMBOL = re.compile(r"'[a-z]{1,3}\d+'")
_EXPRESSION = re.compile(r"[\w\s.,()+\-*/%=<>&|~]*")
_WORDS = frozenset(
    "Symbol Integer Rational Float Add Mul Pow Mod Max Min Eq Ne Lt Le Gt Ge And Or Not Equality "
    "Unequality StrictLessThan LessThan StrictGreaterThan GreaterThan FloorDiv ModularIndexing "
    "Where PythonMod CleanDiv CeilToInt FloorToInt CeilDiv LShift RShift PowByNatural FloatPow "
    "FloatTrueDiv IntTrueDiv IsNonOverlappingAndDenseIndicator TruncToFloat TruncToInt RoundToInt "
    "RoundDecimal ToFloat Identity positive nonnegative integer real precision true false True "
    "False oo int_oo".split()
)
_PLAIN = re.compile(r"[\w.\-+:/\[\] ]*")
_SKIPPED = ("as_string", "as_strings", "metadata", "guards_code")
"""Keys of constants, which are quoted wherever they go; of notes; and of what is dropped unrun."""

_CODE = re.compile(r"\btorch\.(\w+)|\bops\.(\w+)\.(\w+)|\btorch\.classes\.(\w+)")


def check_program(file: IO[bytes]) -> None:
    """Check that an archive of an exported program holds data, known operators and nothing else.

    Args:
        file: The archive; it is at its start afterwards.

    Raises:
        UnsupportedModelError: It holds more; the message says what.
        FormatError: It is damaged.
    """
    import torch  # noqa: PLC0415

    try:
        reader = torch._C.PyTorchFileReader(file)  # noqa: SLF001  (what torch.export.load reads with)
        names = reader.get_all_records()
        for name in names:
            _check_member(reader, name, names)
    except (RuntimeError, ValueError, KeyError, AttributeError, TypeError) as error:
        if isinstance(error, UnsupportedModelError):
            raise
        raise FormatError(f"a damaged archive: {first_line(error)}") from error
    finally:
        file.seek(0)


def _check_member(reader: Any, name: str, names: list[str]) -> None:
    if sum(other.casefold() == name.casefold() for other in names) > 1:
        raise FormatError(f"two members of the name {name}")
    if name.startswith("data/aotinductor"):
        raise UnsupportedModelError("it holds machine code, compiled ahead of time")
    if name.startswith("models/"):
        for text in _foreign_texts(json.loads(reader.get_record(name)), ""):
            raise UnsupportedModelError(f"its graph names {text[:80]!r}, which could run code")
    elif name.startswith("data/sample_inputs/"):
        _check_pickle(reader, name, "its sample inputs are")
    elif re.fullmatch(r"data/(weights|constants)/[^/]*config\.json", name):
        folder = name.rpartition("/")[0]
        for payload in json.loads(reader.get_record(name))["config"].values():
            inner = payload["path_name"]
            if inner.startswith(("custom_obj", "opaque_obj")):
                raise UnsupportedModelError(f"its constant {inner[:80]} is an object, no tensor")
            if payload["use_pickle"]:
                _check_pickle(reader, f"{folder}/{inner}", f"its tensor {inner[:80]} is")
    elif re.fullmatch(r"data/(weights|constants)/.*\.pt", name):
        _check_pickle(reader, name, f"its {name.split('/')[1]} are")


def _check_pickle(reader: Any, name: str, what: str) -> None:
    """Check that a pickle holds tensors and plain containers alone, by loading nothing else."""
    import pickle  # noqa: PLC0415

    import torch  # noqa: PLC0415

    data = reader.get_record(name)
    if not data:
        return
    try:
        torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, AttributeError) as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        raise UnsupportedModelError(
            f"{what} a pickle of more than tensors" + (f" ({found[1]})" if found else "")
        ) from error


def _foreign_texts(value: Any, key: str) -> Iterator[str]:
    """Yield the texts of a graph that are on no list."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if not _PLAIN.fullmatch(name):
                yield name
            if name not in _SKIPPED:
                yield from _foreign_texts(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _foreign_texts(inner, key)
    elif isinstance(value, str) and not _allowed(value, key):
        yield value


def _allowed(text: str, key: str) -> bool:
    if key == "target":
        return bool(_TARGET.fullmatch(text)) and not _FILES.search(text)
    if key == "expr_str":
        bare = _SYMBOL.sub("", text)
        words = re.findall(r"[A-Za-z_]\w*", bare)
        return bool(_EXPRESSION.fullmatch(bare)) and _WORDS.issuperset(
            word for word in words if not re.fullmatch(r"[a-z]{1,3}\d+|e\d*", word)
        )
    if key in ("in_spec", "out_spec"):
        return _allowed_spec(text)
    return bool(_PLAIN.fullmatch(text))


def _allowed_spec(value: Any) -> bool:
    """Say whether the description of nested inputs is of plain containers, with plain keys.

    It is JSON, with JSON in its texts.
    """
    if isinstance(value, dict):
        if {"__enum__", "default_factory_module"} & value.keys():  # imported
            return False
        return all(map(_allowed_spec, (*value, *value.values())))
    if isinstance(value, list):
        return all(map(_allowed_spec, value))
    if isinstance(value, str) and value[:1] in ("[", "{", '"'):
        try:
            return _allowed_spec(json.loads(value))
        except ValueError:
            return False
    return not isinstance(value, str) or bool(_PLAIN.fullmatch(value))


def check_script(file: IO[bytes]) -> None:
    """Check that a TorchScript archive uses operators that compute, and no others.

    Args:
        file: The archive; it is at its start afterwards.

    Raises:
        UnsupportedModelError: It uses others.
        FormatError: It is damaged.
    """
    import torch  # noqa: PLC0415

    try:
        reader = torch._C.PyTorchFileReader(file)  # noqa: SLF001  (what torch.jit.load reads with)
        for name in reader.get_all_records():
            if name.startswith("code/") and name.endswith(".py"):
                _check_code(reader.get_record(name).decode("utf-8"))
    except (RuntimeError, UnicodeDecodeError) as error:
        raise FormatError(f"a damaged archive: {first_line(error)}") from error
    finally:
        file.seek(0)


def _check_code(code: str) -> None:
    for match in _CODE.finditer(code):
        plain, space, operator, custom = match.groups()
        if _FILES.fullmatch(plain or operator or ""):
            raise UnsupportedModelError(f"it uses {match[0]}, which reads or writes files")
        if (space and space not in _NAMESPACES) or (custom and custom != "quantized"):
            raise UnsupportedModelError(f"it uses {match[0]}, which is not PyTorch's own")
