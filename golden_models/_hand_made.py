"""Runnable models that no exporter made: control flow and functions.

They are written in ONNX's own text syntax (https://onnx.ai/onnx/repo-docs/Syntax.html), and a few
lines of NumPy beside each say what it must compute.
"""

from __future__ import annotations

import numpy as np
import onnx
from _golden import PRODUCER, SEED, Array, Golden, Samples, serialize

__all__ = ["control_flow", "functions"]

_CONTROL_FLOW = """
<
   ir_version: 10,
   opset_import: ["" : 20]
>
control_flow (float[n_tracks] pt, float threshold)
   => (float total, float[n_tracks] running_total, float[n_tracks] running_maximum)
<
   float boost = {1.5},
   float damping = {0.25},
   float limit = {40},
   float zero = {0},
   bool always = {1}
>
{
   n_tracks_1d = Shape (pt)
   no_axis = Constant <value_ints: ints = []> ()
   n_tracks = Reshape (n_tracks_1d, no_axis)
   total, running_total = Loop (n_tracks, always, zero) <body: graph = each_track
      (int64 track, bool go_on, float sum_so_far)
      => (bool go_on_next, float sum_next, float sum_seen) {
      this_pt = Gather (pt, track)
      is_hard = Greater (this_pt, threshold)
      sum_next = If (is_hard) <
         then_branch: graph = hard_track () => (float sum_with_hard)
         <float floor = {0.5}>
         {
            is_full = Greater (sum_so_far, limit)
            step = If (is_full) <
               then_branch: graph = damped () => (float damped_pt) {
                  damped_pt = Mul (this_pt, damping)
               },
               else_branch: graph = boosted () => (float boosted_pt) {
                  raised_pt = Mul (this_pt, boost)
                  boosted_pt = Max (raised_pt, floor)
               }
            >
            sum_with_hard = Add (sum_so_far, step)
         },
         else_branch: graph = soft_track () => (float sum_without_soft) {
            sum_without_soft = Identity (sum_so_far)
         }
      >
      sum_seen = Identity (sum_next)
      go_on_next = Identity (go_on)
   }>
   last_maximum, running_maximum = Scan <body: graph = keep_larger
      (float largest, float candidate) => (float largest_next, float largest_seen) {
      largest_next = Max (largest, candidate)
      largest_seen = Mul (largest_next, boost)
   }, num_scan_inputs: int = 1> (zero, pt)
}
"""

_FUNCTIONS = """
<
   ir_version: 10,
   opset_import: ["" : 20, "golden.calibration" : 1]
>
functions (float[n_hits] energy, double[n_hits] time)
   => (float[n_hits] energy_out, double[n_hits] time_out, float[n_hits] clipped)
{
   [calibrate_energy]
   energy_out = golden.calibration.Calibrate:single <gain: float = 2> (energy)
   [calibrate_time]
   time_out = golden.calibration.Calibrate:double <gain: float = 4, offset: float = -1> (time)
   [clip_energy]
   clipped = golden.calibration.Clip <symmetric: int = 1> (energy_out)
}
<
   domain: "golden.calibration",
   overload: "single",
   opset_import: ["" : 20, "golden.calibration" : 1],
   doc_string: "For float values; calls another function of this model."
>
Calibrate <gain, offset: float = 0.5> (x) => (y)
{
   scaled = golden.calibration.Scale <factor: float = @gain> (x)
   shift = Constant <value_float: float = @offset> ()
   y = Add (scaled, shift)
}
<
   domain: "golden.calibration",
   overload: "double",
   opset_import: ["" : 20]
>
Calibrate <gain, offset: float = 0.5> (x) => (y)
{
   gain_single = Constant <value_float: float = @gain> ()
   gain_double = Cast <to: int = 11> (gain_single)
   scaled = Mul (x, gain_double)
   shift_single = Constant <value_float: float = @offset> ()
   shift = CastLike (shift_single, x)
   y = Add (scaled, shift)
}
<
   domain: "golden.calibration",
   opset_import: ["" : 20]
>
Scale <factor> (x) => (y)
{
   by = Constant <value_float: float = @factor> ()
   y = Mul (x, by)
}
<
   domain: "golden.calibration",
   opset_import: ["" : 20],
   doc_string: "References its attributes from the branches of an If."
>
Clip <symmetric, upper: float = 10, labels: strings = ["low", "high"]> (x) => (y)
{
   flag = Constant <value_int: int = @symmetric> ()
   is_symmetric = Cast <to: int = 9> (flag)
   y = If (is_symmetric) <
      then_branch: graph = both_sides () => (y_both) {
         most = Constant <value_float: float = @upper> ()
         least = Neg (most)
         y_both = Clip (x, least, most)
      },
      else_branch: graph = one_side () => (y_one) {
         bound = Constant <value_float: float = @upper> ()
         y_one = Min (x, bound)
      }
   >
}
"""


def control_flow() -> Golden:
    """Nest an If in an If in a Loop, with names from every level around; add a Scan."""
    random = np.random.default_rng(SEED)
    pt = random.exponential(8.0, 12).astype(np.float32)
    threshold = np.float32(3.0)
    total, running_total = _sum_of_hard_tracks(pt, threshold)
    outputs = {
        "total": total,
        "running_total": running_total,
        "running_maximum": np.maximum.accumulate(pt) * np.float32(1.5),
    }
    return Golden(
        onnx=serialize(_parse(_CONTROL_FLOW)),
        guards="graphs within attributes of nodes, four levels deep, with initializers of their "
        "own and nodes that use names of the graphs around them",
        made_by="ONNX's text syntax in generate.py's folder",
        packages=("numpy",),
        seed=SEED,
        samples=Samples(
            inputs={"pt": pt, "threshold": np.array(threshold)},
            outputs=outputs,
            rtol=1e-6,
            source="NumPy",
        ),
    )


def functions() -> Golden:
    """Define functions with overloads, default attributes, and references to attributes."""
    random = np.random.default_rng(SEED)
    energy = random.normal(0.0, 6.0, 10).astype(np.float32)
    time = random.normal(0.0, 3.0, 10)
    energy_out = energy * np.float32(2.0) + np.float32(0.5)
    outputs = {
        "energy_out": energy_out,
        "time_out": time * 4.0 - 1.0,
        "clipped": np.clip(energy_out, np.float32(-10.0), np.float32(10.0)),
    }
    model = _parse(_FUNCTIONS)
    scaled = onnx.helper.make_tensor_value_info("scaled", onnx.TensorProto.FLOAT, ["n_hits"])
    model.functions[0].value_info.append(scaled)
    onnx.helper.set_metadata_props(model.functions[0], {"unit": "GeV"})
    return Golden(
        onnx=serialize(model),
        guards="model-local functions: overloads of one name, attributes without and with a "
        "default, ref_attr_name in nodes and in branches, a function that calls another",
        made_by="ONNX's text syntax in generate.py's folder",
        packages=("numpy",),
        seed=SEED,
        samples=Samples(
            inputs={"energy": energy, "time": time}, outputs=outputs, rtol=1e-6, source="NumPy"
        ),
    )


def _parse(text: str) -> onnx.ModelProto:
    """Return the model that the text describes."""
    model: onnx.ModelProto = onnx.parser.parse_model(text)
    model.producer_name = PRODUCER
    return model


def _sum_of_hard_tracks(pt: Array, threshold: np.float32) -> tuple[Array, Array]:
    """Compute what the Loop of the control flow model does: the last sum, and all sums."""
    sums = [np.float32(0.0)]
    for this_pt in pt:
        is_full = sums[-1] > np.float32(40.0)
        step = this_pt * np.float32(0.25) if is_full else max(this_pt * np.float32(1.5), 0.5)
        sums.append(np.float32(sums[-1] + (step if this_pt > threshold else 0.0)))
    return np.array(sums[-1]), np.array(sums[1:])
