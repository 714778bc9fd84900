"""The few hot loops. ``numpy_kernels`` defines what each one means."""

from skbp._engine.kernels.numpy_kernels import (
    adam_step,
    add_bias,
    column_sums,
    dropout_mask,
    gather,
    l2,
    logistic_backward,
    masked_scale,
    matmul,
    matmul_transposed,
    relu,
    relu_backward,
    sgd_step,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
    tanh_backward,
)

__all__ = [
    "adam_step",
    "add_bias",
    "column_sums",
    "dropout_mask",
    "gather",
    "l2",
    "logistic_backward",
    "masked_scale",
    "matmul",
    "matmul_transposed",
    "relu",
    "relu_backward",
    "sgd_step",
    "sigmoid_cross_entropy",
    "softmax_cross_entropy",
    "tanh_backward",
]
