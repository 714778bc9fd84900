"""What torch computes for recurrent layers, in float64: writes recurrent.npz beside this file.

Run with a Python that has torch (2.13 made the file): ``python tests/goldens/make_recurrent.py``.
Names in the file: kind-levels-directions-lengths-array, where lengths is "whole", or "packed" for
sequences of different length. Parameters are one vector: for each level and direction the weights
of input and state, and a bias with each.
"""

from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

KINDS = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
N, TIME, FEATURES, UNITS = 5, 4, 3, 2
LENGTHS = [2, 4, 1, 3, 4]


def run(module, x, dy, d_last, packed):
    """Return outputs, and gradients of ``sum(dy * sequences) + sum(d_last * last states)``."""
    module.zero_grad()
    x = torch.tensor(x, requires_grad=True)
    lengths = torch.tensor(LENGTHS if packed else [TIME] * N)
    inputs = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    outputs, state = module(inputs if packed else x)
    y = pad_packed_sequence(outputs, batch_first=True)[0] if packed else outputs
    last = (state[0] if isinstance(state, tuple) else state)[-1 - module.bidirectional :]
    last = last.transpose(0, 1).reshape(N, -1)
    results = {"y": y, "last": last}
    for name, value in (("dy", (y * torch.tensor(dy)).sum()),
                        ("d_last", (last * torch.tensor(d_last)).sum())):  # fmt: skip
        dx, *grads = torch.autograd.grad(value, [x, *module.parameters()], retain_graph=True)
        results |= {f"{name}-x": dx, f"{name}-params": flat(grads)}
    return {key: value.detach().numpy() for key, value in results.items()}


def flat(arrays):
    """Return all values in one vector."""
    return torch.cat([array.detach().reshape(-1) for array in arrays])


def main():
    """Write the file."""
    torch.manual_seed(0)
    rng, arrays = np.random.default_rng(0), {}
    arrays |= {"x": rng.normal(size=(N, TIME, FEATURES)), "lengths": np.array(LENGTHS)}
    arrays["dy"] = rng.normal(size=(N, TIME, 2 * UNITS))
    arrays["d_last"] = rng.normal(size=(N, 2 * UNITS))
    for kind, levels, directions in product(KINDS, (1, 2), (1, 2)):
        module = KINDS[kind](
            FEATURES, UNITS, levels, batch_first=True, bidirectional=directions == 2,
            dtype=torch.float64,
        )  # fmt: skip
        key = f"{kind}-{levels}-{directions}"
        arrays[f"{key}-params"] = flat(module.parameters()).numpy()
        width = directions * UNITS
        for packed in (False, True):
            results = run(
                module, arrays["x"], arrays["dy"][..., :width], arrays["d_last"][:, :width], packed
            )
            lengths = "packed" if packed else "whole"
            arrays |= {f"{key}-{lengths}-{name}": value for name, value in results.items()}
    np.savez_compressed(Path(__file__).with_name("recurrent.npz"), **arrays)


if __name__ == "__main__":
    main()
