"""What torch computes for normalising layers, in float64: writes layers.npz beside this file.

Run with a Python that has torch (2.13 made the file): ``python tests/goldens/make_layers.py``.
"""

from pathlib import Path

import numpy as np
import torch

ACTIVATIONS = {"identity": lambda z: z, "relu": torch.relu}
BATCHES = 3
SHAPE = 11, 5


def run(module, activation, x, dy):
    """Return the output and the gradients of x, gamma and beta."""
    x = torch.tensor(x, requires_grad=True)
    module.zero_grad()
    y = ACTIVATIONS[activation](module(x))
    y.backward(torch.tensor(dy))
    return {
        "y": y.detach(), "dx": x.grad, "dgamma": module.weight.grad, "dbeta": module.bias.grad
    }  # fmt: skip


def main():
    """Write the file."""
    rng, arrays = np.random.default_rng(0), {}
    xs = rng.normal(rng.normal(size=SHAPE[1]), 2, (BATCHES, *SHAPE))
    xs[..., 3] = 0.75  # a constant feature
    dys = rng.normal(size=(BATCHES, *SHAPE))
    cube, dcube = rng.normal(size=(2, 4, 3, SHAPE[1]))
    gamma, beta = rng.normal(size=(2, SHAPE[1]))
    arrays |= {"x": xs, "dy": dys, "cube": cube, "dcube": dcube, "gamma": gamma, "beta": beta}
    for name in ACTIVATIONS:
        batch = torch.nn.BatchNorm1d(SHAPE[1], eps=1e-4, momentum=0.2, dtype=torch.float64)
        layer = torch.nn.LayerNorm(SHAPE[1], eps=1e-4, dtype=torch.float64)
        for module in (batch, layer):
            module.weight.data[:], module.bias.data[:] = torch.tensor(gamma), torch.tensor(beta)
        results = {}
        for i, (x, dy) in enumerate(zip(xs, dys, strict=True)):
            results |= {f"batch_norm-{i}-{k}": v for k, v in run(batch, name, x, dy).items()}
            for running in ("running_mean", "running_var"):
                results[f"batch_norm-{i}-{running}"] = getattr(batch, running).clone()
            results |= {f"layer_norm-{i}-{k}": v for k, v in run(layer, name, x, dy).items()}
        results |= {f"layer_norm-cube-{k}": v for k, v in run(layer, name, cube, dcube).items()}
        batch.eval()
        results |= {f"batch_norm-eval-{k}": v for k, v in run(batch, name, xs[0], dys[0]).items()}
        arrays |= {f"{name}-{key}": value.numpy() for key, value in results.items()}
    np.savez_compressed(Path(__file__).with_name("layers.npz"), **arrays)


if __name__ == "__main__":
    main()
