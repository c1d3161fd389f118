"""Compile the kernels for a wheel: hatchling calls this hook.

Without a compiler, or with ONNXROOT_KERNELS=0, the wheel is one for every machine, in which NumPy
does it all. An editable installation gets the library into the working copy.
"""

import os
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = "bridge/onnxroot/_kernels.c"
SUFFIX = ".lib.dll" if sys.platform == "win32" else ".lib.so"
OPTIONS = ("-std=c99", "-O3", "-fPIC", "-shared", "-fvisibility=hidden")


class KernelsHook(BuildHookInterface):
    """Adds the library to a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile it, and say so in the wheel's name."""
        source = Path(self.root, SOURCE)
        beside = source.with_suffix(SUFFIX)
        self._folder = tempfile.TemporaryDirectory(prefix="onnxroot-")
        built = Path(self._folder.name, beside.name)
        problem = compile_kernels(source, built)
        if problem:
            self.app.display_warning(f"built without kernels, NumPy does it all: {problem}")
            if version == "editable":
                beside.unlink(missing_ok=True)
            return
        if version == "editable":
            place(built, beside)
        else:
            build_data["force_include"][str(built)] = f"onnxroot/{beside.name}"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform_tag()}"  # it knows nothing of Python

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was compiled, which the wheel has by now."""
        del version, build_data, artifact_path
        self._folder.cleanup()


def compile_kernels(source: Path, target: Path) -> str:
    """Compile the library; return what is in the way, or nothing."""
    if os.environ.get("ONNXROOT_KERNELS") == "0":
        return "ONNXROOT_KERNELS is 0"
    compiler = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    problems = []
    for command in dict.fromkeys((compiler, "cc")):  # Python's may be that of another machine
        problem = run([*shlex.split(command), *OPTIONS, "-o", str(target), str(source)])
        if not problem:
            return ""
        problems.append(problem)
    return problems[0]


def run(command: list[str]) -> str:
    """Run a compiler; return what is in the way, or nothing."""
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603  (the builder's own)
    except OSError as error:
        return f"{command[0]}: {error.strerror}"
    except subprocess.CalledProcessError as error:
        return f"{command[0]}: {error.stderr.strip() or error}"
    return ""


def place(built: Path, target: Path) -> None:
    """Copy the library to its place, where programs may be using the one before."""
    draft = target.with_name(f"{target.name}.{os.getpid()}")
    draft.write_bytes(built.read_bytes())
    draft.replace(target)


def platform_tag() -> str:
    """Return what the name of a wheel says of this machine."""
    return sysconfig.get_platform().replace("-", "_").replace(".", "_")
