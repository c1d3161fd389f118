"""Adapters: each turns the models of one framework into ONNX, by that framework's own exporter.

An adapter knows of onnxroot only `onnxroot.errors` and `onnxroot.adapter`; onnxroot finds it by its
entry point in the group ``onnxroot.adapters``. Importing this package imports no framework.
"""
