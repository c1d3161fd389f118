"""Call the C++ reader from Python; argv: folder of the header, ROOT file, directory."""

import hashlib
import sys

import numpy as np
import ROOT

include_dir, file, directory = sys.argv[1:]
ROOT.gInterpreter.AddIncludePath(include_dir)
assert ROOT.gInterpreter.Declare('#include "onnxroot.hxx"')

model = ROOT.onnxroot.Model(file, directory)
onnx = np.empty(model.Manifest().fNBytes, np.uint8)
model.SerializeTo(onnx, onnx.nbytes)
print(hashlib.sha256(onnx).hexdigest())
for name in model.TensorNames():
    weights = model.GetTensor["float"](name)
    values = np.asarray(weights.fValues).reshape(list(weights.fShape))
    print(name, values.shape, hashlib.sha256(values).hexdigest())
for value in model.Inputs():
    dims = [
        d.fValue.value() if d.fValue.has_value() else str(d.fName) for d in value.fShape.value()
    ]
    print(value.fName, value.fTypeName, dims)
try:
    model.GetTensorInfo("hidden9.weight")
except ROOT.onnxroot.Error as error:
    print(str(error).splitlines()[-1].strip())
