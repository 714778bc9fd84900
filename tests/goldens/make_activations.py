"""Make activations.json: values and derivatives of activations as PyTorch computes them.

Run with an interpreter that has torch: ``python make_activations.py``. In float64, by name of the
registry and hyperparameters.
"""

import json
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

# Positive inputs that are float32 numbers too, from next to nothing to huge; away from the kinks of
# hard swish at -3 and 3, where its derivative is a matter of taste.
POSITIVE = [1e-30, 1e-12, 1e-8, 1e-4, 0.5, 1, 2, *np.linspace(0.25, 12.1, 23).round(3),
            30, 88, 100, 710, 1e3, 1e4]  # fmt: skip
Z = sorted([*POSITIVE, *(-z for z in POSITIVE), 0.0])

CASES = [
    ("leaky_relu", {}, functional.leaky_relu),
    ("leaky_relu", {"negative_slope": 0.3}, lambda z: functional.leaky_relu(z, 0.3)),
    ("leaky_relu", {"negative_slope": 1.5}, lambda z: functional.leaky_relu(z, 1.5)),
    ("elu", {}, functional.elu),
    ("elu", {"alpha": 0.3}, lambda z: functional.elu(z, 0.3)),
    ("elu", {"alpha": 2.0}, lambda z: functional.elu(z, 2.0)),
    ("selu", {}, functional.selu),
    # Above its threshold torch returns z, which is off by exp(-z).
    ("softplus", {}, lambda z: functional.softplus(z, threshold=50)),
    ("gelu", {}, functional.gelu),
    ("gelu", {"approximate": "tanh"}, lambda z: functional.gelu(z, approximate="tanh")),
    ("silu", {}, functional.silu),
    ("mish", {}, functional.mish),
    ("hardswish", {}, functional.hardswish),
]


def golden(name, params, function):
    z = torch.tensor(Z, dtype=torch.float64, requires_grad=True)
    y = function(z)
    y.sum().backward()
    return {"name": name, "params": params, "y": y.tolist(), "slope": z.grad.tolist()}


if __name__ == "__main__":
    goldens = {"torch": torch.__version__, "z": Z, "cases": [golden(*case) for case in CASES]}
    path = Path(__file__).with_name("activations.json")
    path.write_text(json.dumps(goldens, indent=1) + "\n", encoding="utf-8")
