"""ONNX: networks that run without Python.

Needs the package `onnx`: ``pip install "skbp[onnx]"``.
"""

from skbp.persistence.onnx.convert import to_onnx

__all__ = ["to_onnx"]
