"""PyTorch's files: what they are, told without running anything, and what is in them."""

from __future__ import annotations

import json
import pickle
import re
import struct
import sys
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from onnxroot.adapter import Options
from onnxroot.errors import FormatError, OnnxRootError, UnsupportedModelError
from onnxroot_adapters._archives import check_archive, names_in
from onnxroot_adapters._conclude import digest_of
from onnxroot_adapters._errors import first_line, type_and_line
from onnxroot_adapters._pickles import NOT_ALLOWED, globals_in
from onnxroot_adapters._require import require
from onnxroot_adapters._torch_archives import check_program, check_script
from onnxroot_adapters._torch_inference import quiet

__all__ = ["describe", "open_file", "provenance_of"]

_PROGRAM = "an exported program of PyTorch"
_COMPILED = "a package that PyTorch compiled ahead of time"
_SCRIPT = "a TorchScript archive"
_WEIGHTS = "weights that PyTorch saved (a state_dict)"
_PICKLE = "a pickle that PyTorch saved"
_SAFETENSORS = "weights in a safetensors file"

_OLD_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
_MOST_HEADER_NBYTES = 1 << 26
_MODULE = "--module package.module:function"


def describe(path: Path) -> str | None:
    """Say what a file is, by its content; None if PyTorch can't have written it."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            head = file.read(64)
        if head[:4] == b"PK\x03\x04":
            return _describe_archive(path)
        if head.startswith(_OLD_MAGIC):
            return _describe_pickle(path)
        if head[:1] == b"\x80" and any(name.startswith("torch.") for name in globals_in(path)):
            return _PICKLE
        return _SAFETENSORS if _is_safetensors(path, head) else None
    except OSError:
        return None


def _describe_archive(path: Path) -> str | None:
    names = names_in(path)
    inner = {name.partition("/")[2] for name in names}
    if any(name.startswith("data/aotinductor/") for name in inner):
        return _COMPILED
    if "archive_format" in inner or "serialized_exported_program.json" in names:
        return _PROGRAM
    if "data.pkl" in inner:
        return _SCRIPT if "constants.pkl" in inner else _describe_pickle(path)
    return None


def _describe_pickle(path: Path) -> str:
    """Tell weights from anything else by the classes that a pickle names."""
    plain = re.compile(
        r"collections\.OrderedDict|torch\._utils\._rebuild_\w+|torch\.(storage\.)?\w+Storage|"
        r"torch\.Size|torch\.(float|u?int|bfloat|bool|complex)\w*|torch\.serialization\.\w+"
    )
    foreign = [name for name in globals_in(path) if not plain.fullmatch(name)]
    return f"{_PICKLE} ({foreign[0]})" if foreign else _WEIGHTS


def _is_safetensors(path: Path, head: bytes) -> bool:
    if len(head) < 10 or head[8:9] != b"{":
        return False
    size = struct.unpack("<Q", head[:8])[0]
    if size > min(_MOST_HEADER_NBYTES, path.stat().st_size - 8):
        return False
    with path.open("rb") as file:
        file.seek(8)
        try:
            header = json.loads(file.read(size))
        except (ValueError, RecursionError):
            return False
    return isinstance(header, dict) and all(
        name == "__metadata__" or (isinstance(entry, dict) and "data_offsets" in entry)
        for name, entry in header.items()
    )


def provenance_of(path: Path) -> dict[str, str]:
    """Return what is recorded of a file."""
    return {
        "source": describe(path) or "",
        "source_file": path.name,
        "source_sha256": digest_of(path),
    }


def open_file(path: Path, options: Options) -> Any:
    """Return the module or exported program in a file.

    Raises:
        UnsupportedModelError: It needs the user's word, or is none.
        FormatError: It is damaged.
        MissingDependencyError: A package is not installed.
    """
    what = describe(path)
    if zipfile.is_zipfile(path):
        check_archive(path)
    with _named(path):
        if what is None:
            raise FormatError("is not a file that PyTorch writes, or damaged")
        if what == _COMPILED:
            raise UnsupportedModelError(
                f"is {_COMPILED}: that is machine code, which has no way to ONNX; export the "
                "program that it was compiled from (torch.export.save)"
            )
        if what == _PROGRAM:
            return _open_program(path, options)
        if what == _SCRIPT:
            return _open_script(path, options)
        if what == _SAFETENSORS:
            files = require("safetensors.torch", extra="torch", what="a safetensors file")
            try:
                weights = files.load_file(path, device="cpu")
            except Exception as error:
                raise FormatError(f"is a damaged safetensors file: {first_line(error)}") from error
            return _module_with(weights, options)
        return _open_pickle(path, options)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Put the file's name in front of what goes wrong."""
    try:
        yield
    except OnnxRootError as error:
        raise type(error)(f"{path.name}: {error}") from error.__cause__


# --- archives ------------------------------------------------------------------------------------


def _open_program(path: Path, options: Options) -> Any:
    import torch  # noqa: PLC0415

    with path.open("rb") as file:
        if not options.allow_pickle:
            try:
                check_program(file)
            except UnsupportedModelError as error:
                raise UnsupportedModelError(
                    f"an exported program, but {error}; if you trust its author, allow it "
                    "(--allow-pickle, allow_pickle=True)"
                ) from error.__cause__
        try:
            with quiet():  # it logs tracebacks of its own
                program = torch.export.load(file)
        except Exception as error:
            raise FormatError(
                f"PyTorch {torch.__version__} can't open this exported program: "
                f"{first_line(error)}; open it with the version that wrote it, and save it again"
            ) from error
    program._guards_code = []  # noqa: SLF001  (texts from the file that torch would run)
    return program


def _open_script(path: Path, options: Options) -> Any:
    import torch  # noqa: PLC0415

    with path.open("rb") as file:
        if not options.allow_pickle:
            try:
                check_script(file)
            except UnsupportedModelError as error:
                raise UnsupportedModelError(
                    f"a TorchScript archive, but {error}; if you trust its author, allow it "
                    "(--allow-pickle, allow_pickle=True)"
                ) from error.__cause__
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # PyTorch's, that TorchScript is deprecated
                return torch.jit.load(file, map_location="cpu")
        except Exception as error:
            raise FormatError(
                f"PyTorch {torch.__version__} can't open this TorchScript archive: "
                f"{first_line(error)}"
            ) from error


# --- pickles -------------------------------------------------------------------------------------


def _open_pickle(path: Path, options: Options) -> Any:
    """Open what ``torch.save`` or ``pickle.dump`` wrote: as weights if they are, then more."""
    import torch  # noqa: PLC0415

    try:
        try:
            found = torch.load(path, map_location="cpu", weights_only=True)
        except Exception:  # noqa: BLE001  (torch raises of all kinds)
            with torch.serialization.safe_globals(_layers()):
                found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        if not options.allow_pickle:
            raise UnsupportedModelError(
                f"{NOT_ALLOWED}, or save the weights alone (torch.save(module.state_dict(), ...)) "
                f"and give the function that makes the module ({_MODULE})"
            ) from error
        found = _unpickled(path)
    return _module_in(found, options)


def _unpickled(path: Path) -> Any:
    """Open a pickle with all that it runs."""
    import torch  # noqa: PLC0415

    try:
        with _path_of_caller():
            if zipfile.is_zipfile(path) or path.read_bytes()[: len(_OLD_MAGIC)] == _OLD_MAGIC:
                return torch.load(path, map_location="cpu", weights_only=False)
            with path.open("rb") as file:
                return pickle.load(file)  # noqa: S301
    except (AttributeError, ImportError) as error:
        raise UnsupportedModelError(
            f"needs the code that its classes are defined in ({first_line(error)}): run where it "
            f"can be imported, or give the weights alone and {_MODULE}"
        ) from error
    except Exception as error:
        raise FormatError(f"can't be unpickled: {first_line(error)}") from error


def _layers() -> list[Any]:
    """Return torch's own layers, which do nothing but compute."""
    import torch  # noqa: PLC0415

    families = (
        "activation", "batchnorm", "channelshuffle", "container", "conv", "distance", "dropout",
        "flatten", "fold", "instancenorm", "linear", "normalization", "padding", "pixelshuffle",
        "pooling", "rnn", "sparse", "transformer", "upsampling",
    )  # fmt: skip
    found = [
        layer
        for layer in vars(torch.nn).values()
        if isinstance(layer, type)
        and issubclass(layer, torch.nn.Module)
        and layer.__module__.removeprefix("torch.nn.modules.") in families
    ]
    return [*found, torch.nn.functional.relu, torch.nn.functional.gelu, set]


def _module_in(found: Any, options: Options) -> Any:
    """Return the module that was saved, or that weights belong to."""
    import torch  # noqa: PLC0415

    if isinstance(found, torch.nn.Module | torch.export.ExportedProgram):
        return found
    if isinstance(found, Mapping):
        for key in ("module", "model", "net", "network"):
            if isinstance(found.get(key), torch.nn.Module):
                return found[key]
        for key in ("state_dict", "model_state_dict", "model", "net", "weights", "module"):
            if isinstance(found.get(key), Mapping):
                return _module_with(found[key], options)
        if found and all(isinstance(value, torch.Tensor) for value in found.values()):
            return _module_with(found, options)
        raise FormatError(
            f"holds a dict of {', '.join(map(str, list(found)[:8]))}, and no weights among them"
        )
    raise FormatError(f"holds a {type(found).__name__}, neither a module nor weights")


# --- weights -------------------------------------------------------------------------------------


def _module_with(weights: Mapping[str, Any], options: Options) -> Any:
    """Make a module by the user's function, and put weights in it.

    Raises:
        UnsupportedModelError: There is no function, or the weights are another module's.
    """
    if options.module is None:
        raise UnsupportedModelError(
            f"holds {len(weights)} weights and no module: add {_MODULE}, a function (or class) "
            "that makes the module"
        )
    module = _made(options.module)
    wanted = module.state_dict()
    weights = _without_common_prefix(weights, wanted)
    missing = sorted(set(wanted) - set(weights))
    unknown = sorted(set(weights) - set(wanted))
    other = [
        f"{name} is {tuple(value.shape)}, expected {tuple(wanted[name].shape)}"
        for name, value in weights.items()
        if name in wanted and hasattr(value, "shape") and value.shape != wanted[name].shape
    ]
    texts = [
        f"{text} {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}"
        for text, names in (("no", missing), ("unknown", unknown), ("", other))
        if names
    ]
    if texts:
        raise UnsupportedModelError(
            f"its weights are not those of the module that {options.module} makes: "
            f"{'; '.join(text.strip() for text in texts)}"
        )
    module.load_state_dict(dict(weights))
    return module


def _without_common_prefix(weights: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Take off what wrappers (DataParallel, Lightning, torch.compile) put before every name.

    Lightning keeps the weights of losses and metrics beside the module's: they are left out.
    """
    names, known = set(weights), min(wanted, default="")
    if names == set(wanted):
        return dict(weights)
    prefixes = {name.removesuffix(known) for name in names if name.endswith(known)} - {""}
    found = [
        {name[len(prefix) :]: weights[name] for name in weights if name.startswith(prefix)}
        for prefix in prefixes
    ]
    fitting = [inner for inner in found if set(inner) == set(wanted)]
    return fitting[0] if len(fitting) == 1 else dict(weights)


def _made(name: str) -> Any:
    """Call the user's function."""
    import torch  # noqa: PLC0415

    where, _, attribute = name.partition(":")
    if not where or not attribute:
        raise UnsupportedModelError(
            f"{name!r} names no function: expected {_MODULE[9:]} (--module)"
        )
    try:
        with _path_of_caller():
            target: Any = import_module(where)
            for part in attribute.split("."):
                target = getattr(target, part)
            module = target()
    except (ImportError, AttributeError) as error:
        raise UnsupportedModelError(
            f"can't find {name} (--module): {first_line(error)}; run in the folder it is in, or "
            "put that on PYTHONPATH"
        ) from error
    except Exception as error:
        raise UnsupportedModelError(
            f"{name} (--module) fails when it is called without arguments: {type_and_line(error)}"
        ) from error
    if not isinstance(module, torch.nn.Module):
        raise UnsupportedModelError(
            f"{name} (--module) makes a {type(module).__name__}, expected a torch.nn.Module"
        )
    return module


@contextmanager
def _path_of_caller() -> Iterator[None]:
    """Find modules in the working directory, too, as ``python -m`` does."""
    here = str(Path.cwd())
    if here in sys.path or "" in sys.path:
        yield
        return
    sys.path.append(here)
    try:
        yield
    finally:
        sys.path.remove(here)
