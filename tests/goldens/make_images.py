"""What torch computes for convolution and pooling, in float64: writes images.npz beside this file.

Run with a Python that has torch (2.13 made the file): ``python tests/goldens/make_images.py``.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn

N = 3

# Name of the case: shape of a row in torch's order (channels first), and torch's module.
CONVOLUTIONS = {
    "conv_2d": ((3, 7, 6), lambda: nn.Conv2d(3, 4, 3)),
    "conv_2d-sizes": ((2, 9, 8), lambda: nn.Conv2d(2, 3, (2, 4), (3, 2), (2, 1))),
    "conv_2d-dilation": ((2, 9, 8), lambda: nn.Conv2d(2, 3, (3, 2), 2, 2, (2, 3))),
    "conv_2d-same": ((2, 5, 6), lambda: nn.Conv2d(2, 3, (4, 3), padding="same", dilation=(1, 2))),
    "conv_2d-groups": ((4, 6, 5), lambda: nn.Conv2d(4, 6, 3, 2, 1, groups=2)),
    "conv_2d-depthwise": ((4, 6, 5), lambda: nn.Conv2d(4, 8, 3, padding=1, groups=4)),
    "conv_2d-pointwise": ((4, 6, 5), lambda: nn.Conv2d(4, 3, 1)),
    "conv_2d-steps": ((2, 8, 8), lambda: nn.Conv2d(2, 3, 1, 3)),
    "conv_1d": ((3, 9), lambda: nn.Conv1d(3, 4, 3)),
    "conv_1d-stride": ((3, 10), lambda: nn.Conv1d(3, 4, 4, 3, 2)),
    "conv_1d-dilation": ((3, 10), lambda: nn.Conv1d(3, 4, 3, padding="same", dilation=2)),
    "conv_1d-groups": ((4, 9), lambda: nn.Conv1d(4, 6, 2, groups=2)),
}
POOLS = {
    "max_pool_2d": ((3, 7, 6), lambda: nn.MaxPool2d(2)),
    "max_pool_2d-overlap": ((2, 8, 7), lambda: nn.MaxPool2d((3, 2), (2, 1), (1, 1))),
    "max_pool_1d": ((3, 9), lambda: nn.MaxPool1d(3, 2, 1)),
    "avg_pool_2d": ((3, 7, 6), lambda: nn.AvgPool2d(2)),
    "avg_pool_2d-overlap": ((2, 8, 7), lambda: nn.AvgPool2d((3, 2), (2, 1), (1, 1))),
    "avg_pool_1d": ((3, 9), lambda: nn.AvgPool1d(3, 2, 1)),
    "global_max_pool": ((3, 5, 4), lambda: nn.AdaptiveMaxPool2d(1)),
    "global_max_pool-1d": ((3, 5), lambda: nn.AdaptiveMaxPool1d(1)),
    "global_average_pool": ((3, 5, 4), lambda: nn.AdaptiveAvgPool2d(1)),
    "global_average_pool-1d": ((3, 5), lambda: nn.AdaptiveAvgPool1d(1)),
}


def ours(array):
    """Turn torch's order of a batch, of sequences, into ours: (n, time, features)."""
    return array.swapaxes(1, 2) if array.ndim == 3 else array


def run(module, shape, rng, ties):
    """Return input and output gradient, and what torch makes of them."""
    x = rng.normal(size=(N, *shape))
    if ties:
        x = x.round()  # many equal values
    x = torch.tensor(x, requires_grad=True)
    y = module(x)
    dy = torch.tensor(rng.normal(size=y.shape))
    y.backward(dy)
    arrays = {"x": x, "y": y, "dy": dy, "dx": x.grad}
    return {key: ours(value.detach().numpy()) for key, value in arrays.items()}


def main():
    """Write the file."""
    rng, arrays = np.random.default_rng(0), {}
    torch.manual_seed(0)
    for name, (shape, make) in CONVOLUTIONS.items():
        convolution = make().double()
        module = nn.Sequential(convolution, nn.Tanh())
        results = run(module, shape, rng, ties=False)
        for key, value in (("weight", convolution.weight), ("bias", convolution.bias)):
            for prefix, tensor in (("", value.detach()), ("d", value.grad)):
                # filters first in torch, last with us; then channels, then the window
                order = (*range(2, tensor.ndim), 1, 0) if tensor.ndim > 1 else (0,)
                results[prefix + key] = tensor.numpy().transpose(order)
        arrays |= {f"{name}-{key}": value for key, value in results.items()}
    for name, (shape, make) in POOLS.items():
        results = run(make(), shape, rng, ties="max" in name)
        if "global" in name:
            results |= {key: results[key].reshape(N, shape[0]) for key in ("y", "dy")}
        arrays |= {f"{name}-{key}": value for key, value in results.items()}
    np.savez_compressed(Path(__file__).with_name("images.npz"), **arrays)


if __name__ == "__main__":
    main()
