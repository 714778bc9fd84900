"""The few hot loops, in one of two tiers.

``numpy_kernels`` defines what each kernel means; ``numba_kernels`` has the same functions compiled,
and is used when numba is installed (``pip install "skbp[fast]"``). The environment variable
``SKBP_KERNELS``, "numpy" or "numba", forces one. The choice is made when the first kernel is
called, so that importing skbp neither imports numba nor compiles anything.
"""

import os
from importlib import import_module
from importlib.util import find_spec

#: The kernels by name; each is an attribute of this module.
NAMES = (
    "UPDATE_BLOCK",
    "adam_rows",
    "adam_step",
    "add_bias",
    "attention_softmax",
    "attention_softmax_backward",
    "bias_hardswish",
    "bias_leaky_relu",
    "bias_relu",
    "column_sums",
    "dropout_mask",
    "gather",
    "hardswish_backward",
    "l2",
    "lion_step",
    "logistic_backward",
    "masked_scale",
    "matmul",
    "matmul_by_transposed",
    "matmul_transposed",
    "moments",
    "normal_distribution",
    "rectifier_backward",
    "relu_backward",
    "sgd_step",
    "sigmoid_cross_entropy",
    "softmax_cross_entropy",
    "standardize",
    "standardize_backward",
    "standardize_rows",
    "standardize_rows_backward",
    "tanh_backward",
)


def chosen_tier():
    """Return the name of the tier in use, "numpy" or "numba".

    Raises
    ------
    ValueError
        If ``SKBP_KERNELS`` names no tier.
    ImportError
        If it asks for numba, which is not installed.
    """
    tier = os.environ.get("SKBP_KERNELS", "")
    if tier not in ("", "numpy", "numba"):
        raise ValueError(f"SKBP_KERNELS={tier!r}: use 'numpy', 'numba', or unset it")
    installed = find_spec("numba") is not None
    if tier == "numba" and not installed:
        raise ImportError("SKBP_KERNELS=numba, but numba is not installed: pip install skbp[fast]")
    return tier or ("numba" if installed else "numpy")


def __getattr__(name):
    if name not in NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    implementation = import_module(f"{__name__}.{chosen_tier()}_kernels")
    globals().update({kernel: getattr(implementation, kernel) for kernel in NAMES})
    return globals()[name]
