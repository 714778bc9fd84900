"""Activation functions: what a unit does with its weighted sum."""

from skbp.activations.base import Activation
from skbp.activations.basic import Identity, Logistic, Tanh
from skbp.activations.gated import GELU, HardSwish, Mish, SiLU
from skbp.activations.rectifiers import ELU, SELU, LeakyReLU, ReLU, Softplus

__all__ = [
    "ACTIVATIONS",
    "ELU",
    "GELU",
    "SELU",
    "Activation",
    "HardSwish",
    "Identity",
    "LeakyReLU",
    "Logistic",
    "Mish",
    "ReLU",
    "SiLU",
    "Softplus",
    "Tanh",
]

ACTIVATIONS: dict[str, type[Activation]] = {
    "identity": Identity,
    "logistic": Logistic,
    "tanh": Tanh,
    "relu": ReLU,
    "leaky_relu": LeakyReLU,
    "elu": ELU,
    "selu": SELU,
    "softplus": Softplus,
    "gelu": GELU,
    "silu": SiLU,
    "mish": Mish,
    "hardswish": HardSwish,
}
