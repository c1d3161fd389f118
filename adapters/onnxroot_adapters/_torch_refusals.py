"""What goes wrong in PyTorch's exporters, in one line that says what helps."""

from __future__ import annotations

import re

from onnxroot.errors import UnsupportedModelError
from onnxroot_adapters._errors import type_and_line

__all__ = ["UntraceableError", "refusal"]


class UntraceableError(UnsupportedModelError):
    """The module can't be traced, in whatever form."""


_CONTROL_FLOW = re.compile(
    r"data.dependent|GuardOnDataDependent|control flow|Could not guard|"
    r"Could not extract specialized integer|unbacked",
    re.IGNORECASE,
)


def refusal(error: Exception) -> UnsupportedModelError:
    """Say in one line why an exporter failed, and what helps."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    text = "\n".join(f"{type(part).__name__}: {part}" for part in chain)
    missing = re.search(
        r"No (?:ONNX function|decompositions?) .*?for <OpOverload\(op='([\w.]+)'", text
    )
    missing = missing or re.search(r"Exporting the operator '([\w:]+)'", text)
    missing = missing or re.search(r"No ONNX function found for <?([\w.:']+)", text)
    if missing:
        return UnsupportedModelError(
            f"torch's exporter has no translation of the operator {missing[1]}: express it by "
            "others, or try another opset (--opset)"
        )
    if _CONTROL_FLOW.search(text):
        return UnsupportedModelError(
            "the module's forward branches or sizes tensors by values that it computes "
            "(data-dependent control flow), which can't be exported: use torch.where or torch.cond "
            "instead"
        )
    return UnsupportedModelError(f"torch's exporter fails: {type_and_line(chain[-1])}")
