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
    "BLOCK_PASSES",
    "CONCURRENT",
    "DENSE_PASSES",
    "UPDATE_BLOCK",
    "adam_rows",
    "adam_step",
    "add_bias",
    "add_channel_bias",
    "add_columns",
    "attention_softmax",
    "attention_softmax_backward",
    "bias_gelu",
    "bias_hardswish",
    "bias_leaky_relu",
    "bias_relu",
    "channel_bias_relu",
    "channel_relu_backward",
    "channel_sums",
    "column_sums",
    "dropout_mask",
    "fill_bands",
    "gather",
    "gelu_backward",
    "hardswish_backward",
    "l2",
    "lion_step",
    "logistic_backward",
    "masked_scale",
    "matmul",
    "matmul_by_transposed",
    "matmul_transposed",
    "max_pool",
    "max_pool_backward",
    "moments",
    "rectifier_backward",
    "relu_backward",
    "rotate",
    "sgd_step",
    "sigmoid_cross_entropy",
    "softmax_cross_entropy",
    "standardize",
    "standardize_backward",
    "standardize_rows",
    "standardize_rows_backward",
    "standardize_sums",
    "tanh_backward",
)
#: Those of recurrent layers, in modules of their own.
RECURRENT = (
    "gru_backward",
    "gru_forward",
    "gru_run",
    "gru_run_backward",
    "lstm_backward",
    "lstm_forward",
    "lstm_run",
    "lstm_run_backward",
    "product",
    "put_steps",
    "take_steps",
)
#: Those of layers for tables.
TABLES = (
    "learned_mish",
    "learned_mish_backward",
    "learned_selu",
    "learned_selu_backward",
    "scale_backward",
    "waves",
    "waves_backward",
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
    for family, names in (("kernels", NAMES), ("recurrent", RECURRENT), ("tables", TABLES)):
        if name in names:
            implementation = import_module(f"{__name__}.{chosen_tier()}_{family}")
            globals().update({kernel: getattr(implementation, kernel) for kernel in names})
            return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
