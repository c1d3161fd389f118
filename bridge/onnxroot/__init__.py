"""Trained models beside the data: ONNX models in ROOT files, exactly.

::

    import onnxroot

    onnxroot.write("tagger.onnx", "models.root:tagger")
    with onnxroot.open("models.root:tagger") as model:
        model.tensors["conv1.weight"].numpy()
        model.save("tagger_again.onnx")  # the same bytes
"""

from onnxroot._version import __version__ as __version__

TYPE_CHECKING = False  # that of typing would take longer to import than all of this

if TYPE_CHECKING:
    from onnxroot import adapter as adapter
    from onnxroot import api as api
    from onnxroot import errors as errors
    from onnxroot import many as many
    from onnxroot import model as model
    from onnxroot import tables as tables
    from onnxroot._limits import Limits
    from onnxroot._look import diff, report
    from onnxroot.api import (
        convert,
        copy,
        include_dir,
        list_models,
        open,  # noqa: A004
        remove,
        verify,
        write,
    )
    from onnxroot.errors import (
        FormatError,
        IntegrityError,
        LockedError,
        MissingDependencyError,
        ModelExistsError,
        ModelNotFoundError,
        OnnxRootError,
        RemoteError,
        UnsupportedModelError,
    )
    from onnxroot.many import convert_many

__all__ = [
    "FormatError",
    "IntegrityError",
    "Limits",
    "LockedError",
    "MissingDependencyError",
    "ModelExistsError",
    "ModelNotFoundError",
    "OnnxRootError",
    "RemoteError",
    "UnsupportedModelError",
    "convert",
    "convert_many",
    "copy",
    "diff",
    "include_dir",
    "list_models",
    "open",
    "remove",
    "report",
    "verify",
    "write",
]

_MODULES = ("adapter", "api", "errors", "many", "model", "tables")
_HOMES = ("errors", "_limits", "api", "_look", "many")  # what is imported soonest comes first

if not TYPE_CHECKING:  # for type checkers, a name that is not there is an error

    def __getattr__(name: str) -> object:
        """Import what is asked for: so the command can listen for Ctrl-C before all the rest."""
        from importlib import import_module  # noqa: PLC0415

        if name in _MODULES:
            return import_module(f"onnxroot.{name}")
        if name in __all__:
            for module in (import_module(f"onnxroot.{home}") for home in _HOMES):
                if name in module.__all__:
                    globals()[name] = found = getattr(module, name)
                    return found
        raise AttributeError(f"module 'onnxroot' has no attribute {name!r}", name=name)

    def __dir__() -> list[str]:
        """Return the public names, and those that Python gives modules."""
        return sorted({*__all__, *_MODULES, *(n for n in globals() if n.startswith("__"))})
