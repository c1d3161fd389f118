"""Make the estimators of tree libraries known to skl2onnx, for those within other estimators."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from onnxroot_adapters._require import require

__all__ = ["register"]


def register(libraries: Collection[str]) -> None:
    """Register the estimators of some libraries, by onnxmltools; more than once does no harm."""
    require("onnxmltools", extra="trees", what="an estimator of a tree library in a pipeline")
    if "xgboost" in libraries:
        _register_xgboost()
    if "lightgbm" in libraries:
        _register_lightgbm()


def _register_xgboost() -> None:
    import xgboost  # noqa: PLC0415
    from onnxmltools.convert.xgboost.operator_converters.XGBoost import (  # noqa: PLC0415
        convert_xgboost,
    )

    for name in ("XGBClassifier", "XGBRFClassifier", "XGBRegressor", "XGBRFRegressor"):
        _add(getattr(xgboost, name), convert_xgboost)


def _register_lightgbm() -> None:
    import lightgbm  # noqa: PLC0415
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import (  # noqa: PLC0415
        convert_lightgbm,
    )

    for name in ("LGBMClassifier", "LGBMRegressor"):
        _add(getattr(lightgbm, name), convert_lightgbm)


def _add(kind: type, convert: Any) -> None:
    from skl2onnx import update_registered_converter  # noqa: PLC0415
    from skl2onnx.common.data_types import FloatTensorType  # noqa: PLC0415
    from skl2onnx.common.shape_calculator import (  # noqa: PLC0415
        calculate_linear_classifier_output_shapes,
        calculate_linear_regressor_output_shapes,
    )

    def shape(operator: Any) -> None:
        calculate_linear_regressor_output_shapes(operator)
        operator.outputs[0].type = FloatTensorType(operator.outputs[0].type.shape)

    classifies = kind.__name__.endswith("Classifier")
    update_registered_converter(
        kind,
        f"OnnxRoot{kind.__name__}",
        calculate_linear_classifier_output_shapes if classifies else shape,
        convert,
        options={"nocl": [True, False], "zipmap": [True, False, "columns"]} if classifies else {},
    )
