"""ONNX: networks that run without Python.

Needs the package `onnx`: ``pip install "skbp[onnx]"``; converters for pipelines need skl2onnx too.
"""

from skbp.persistence.onnx.convert import to_onnx
from skbp.persistence.onnx.pipelines import register_converters

__all__ = ["register_converters", "to_onnx"]
