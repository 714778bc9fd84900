"""Packages that come with the extra onnx, and skl2onnx."""

from importlib import import_module


def library(name="onnx"):
    """Import the package onnx, or the module of this name, and return it.

    Raises
    ------
    ImportError
        If it is not installed; says how to install it.
    """
    try:
        return import_module(name)
    except ImportError as error:
        if name.startswith("skl2onnx"):
            raise ImportError(
                "register_converters needs skl2onnx. Install it with: pip install skl2onnx"
            ) from error
        raise ImportError(
            'to_onnx needs the package onnx. Install it with: pip install "skbp[onnx]"'
        ) from error
