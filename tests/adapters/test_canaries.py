"""Files of frameworks with code in them: `convert` runs none of it, whatever is installed.

Each would make a folder if it were opened carelessly. Some are made by the framework, if there;
the others are made by hand, and so are tried without it, too.
"""

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import onnxroot

GLOBALS = {
    # what makes an adapter think that a pickle is its own
    "scikit-learn": "sklearn.linear_model._base\nLinearRegression",
    "XGBoost": "xgboost.sklearn\nXGBClassifier",
    "LightGBM": "lightgbm.sklearn\nLGBMClassifier",
    "PyTorch": "torch._utils\n_rebuild_tensor_v2",
    "nothing": "builtins\nobject",
}


def canary(folder: Path, name: str = "nothing", protocol: int = 2) -> bytes:
    """Return a pickle that makes a folder, and names something else."""
    text = str(folder).encode()
    call = b"cos\nmkdir\n(X" + len(text).to_bytes(4, "little") + text + b"tR0"
    return b"\x80" + bytes([protocol]) + call + b"c" + GLOBALS[name].encode() + b"\n."


def archive(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, data in files.items():
            file.writestr(name, data)
    return out.getvalue()


def torch_zip(folder: Path) -> bytes:
    return archive({"archive/data.pkl": canary(folder, "PyTorch"), "archive/version": b"3\n"})


def torch_script(folder: Path) -> bytes:
    pickles = {f"archive/{name}.pkl": canary(folder, "PyTorch") for name in ("data", "constants")}
    return archive({**pickles, "archive/version": b"3\n", "archive/code/x.py": b"1"})


def exported_program(folder: Path) -> bytes:
    pickled = canary(folder, "PyTorch")
    return archive(
        {
            "m/archive_format": b"pt2",
            "m/archive_version": b"0",
            "m/models/model.json": b"{}",
            "m/data/sample_inputs/model.pt": pickled,
            "m/data/weights/model.pt": pickled,
            "m/data/constants/model.pt": pickled,
        }
    )


def skops_file(folder: Path) -> bytes:
    node = {
        "__class__": "mkdir",
        "__module__": "os",
        "__loader__": "FunctionNode",
        "content": {"module_path": "os", "function": "mkdir"},
        "args": str(folder),
    }
    return archive(
        {"schema.json": json.dumps({**node, "protocol": 2, "_skops_version": "0.11"}).encode()}
    )


def keras_file(folder: Path) -> bytes:
    code = f"__import__('os').mkdir({str(folder)!r})"
    layer = {
        "module": "keras.layers",
        "class_name": "Lambda",
        "config": {
            "name": "evil",
            "function": {"class_name": "__lambda__", "config": {"code": code}},
            "arguments": {},
        },
        "registered_name": None,
    }
    config = {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "s", "layers": [layer], "build_input_shape": [None, 2]},
        "registered_name": None,
    }
    metadata = {"keras_version": "3.12.0", "date_saved": "2026-01-01@00:00:00"}
    return archive(
        {
            "config.json": json.dumps(config).encode(),
            "metadata.json": json.dumps(metadata).encode(),
            "model.weights.h5": b"",
        }
    )


FILES: dict[str, Callable[[Path], bytes]] = {
    **{
        f"{name} in a {ending}": lambda folder, name=name: canary(folder, name)
        for name in GLOBALS
        for ending in ("pkl",)
    },
    "model.joblib": lambda folder: canary(folder, "scikit-learn", 4),
    "model.pickle": lambda folder: canary(folder, "scikit-learn", 5),
    "old.pt": lambda folder: canary(folder, "PyTorch"),
    "zip.pt": torch_zip,
    "zip.pth": torch_zip,
    "script.pt": torch_script,
    "program.pt2": exported_program,
    "model.skops": skops_file,
    "model.keras": keras_file,
    "pickle.keras": canary,
    "pickle.h5": canary,
    "pickle.onnx": canary,
    "pickle.root": canary,
    "pickle.json": lambda folder: canary(folder, "XGBoost"),
    "pickle.txt": lambda folder: canary(folder, "LightGBM"),
}


def refuse(path: Path, folder: Path) -> str:
    """Convert a file, both ways; return what is said."""
    texts = []
    for target in ("m.root", "m.onnx"):
        with pytest.raises((onnxroot.OnnxRootError, OSError)) as caught:
            onnxroot.convert(path, path.with_name(target))
        texts.append(str(caught.value))
        assert not folder.exists()
        assert not path.with_name(target).exists() or path.name == target
    return "; ".join(texts)


@pytest.mark.parametrize("case", FILES)
def test_no_code_is_run(case: str, tmp_path: Path) -> None:
    folder = tmp_path / "canary"
    name = case if "." in case else f"{case.split(maxsplit=1)[0].lower()}.pkl"
    path = tmp_path / name
    path.write_bytes(FILES[case](folder))
    said = refuse(path, folder)
    known = {"scikit-learn": "sklearn", "XGBoost": "xgboost", "LightGBM": "lightgbm"}
    if case.endswith(" in a pkl") and find_spec(
        known.get(case.split(maxsplit=1)[0], "no.such".partition(".")[0])
    ):
        assert "is a pickle" in said
        assert "--allow-pickle" in said


def test_the_canary_sings(tmp_path: Path) -> None:
    """Opened carelessly, these files do what they say: or the tests would mean nothing."""
    pickle.loads(canary(tmp_path / "canary"))
    assert (tmp_path / "canary").is_dir()


@pytest.mark.skipif(not find_spec("h5py") or not find_spec("keras"), reason="needs Keras")
def test_code_in_a_layer_of_an_h5_file(tmp_path: Path) -> None:
    import h5py  # noqa: PLC0415

    with zipfile.ZipFile(io.BytesIO(keras_file(tmp_path / "canary"))) as file:
        config: dict[str, Any] = json.loads(file.read("config.json"))
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = "2.15.0"
        file.create_group("model_weights")
    refuse(tmp_path / "m.h5", tmp_path / "canary")


@pytest.mark.skipif(not find_spec("torch"), reason="needs PyTorch")
def test_a_whole_network_that_pytorch_saved(tmp_path: Path) -> None:
    import torch  # noqa: PLC0415

    class Evil(torch.nn.Linear):
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "canary"),)

    torch.save(Evil(2, 2), tmp_path / "m.pt")
    said = refuse(tmp_path / "m.pt", tmp_path / "canary")
    assert "--allow-pickle" in said
