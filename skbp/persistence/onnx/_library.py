"""The package onnx, which comes with the extra of that name."""

from importlib import import_module


def library(name="onnx"):
    """Import the package or one of its modules, and return it.

    Raises
    ------
    ImportError
        If it is not installed; says how to install it.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(
            'to_onnx needs the package onnx. Install it with: pip install "skbp[onnx]"'
        ) from error
