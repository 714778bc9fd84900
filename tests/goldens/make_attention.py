"""Make attention.npz: torch's attention, encoder blocks and embeddings, forward and backward.

    python tests/goldens/make_attention.py        (with torch installed)

Arrays are called case-what. A parameter, the same in all cases of a module, is called module-name,
its gradient case-d and name.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn

N, TIME, K, HEADS, HIDDEN = 3, 5, 6, 2, 7


def run(module, call, x, dy, results, case):
    """Run forward and backward; note output and gradients."""
    module.zero_grad()
    y = call(module, x)
    y.backward(dy)
    results[f"{case}-y"] = y.detach()
    if x.grad is not None:
        results[f"{case}-dx"] = x.grad.clone()
    for name, parameter in module.named_parameters():
        results[f"{case}-d{name}"] = parameter.grad.clone()


def redraw(module, results, title):
    """Give all parameters, those that start at 0 or 1 too, numbers of their own; note them."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.normal_(0, 0.5)
            results[f"{title}-{name}"] = parameter.clone()


def sequences(results):
    x, dy = torch.randn(N, TIME, K), torch.randn(N, TIME, K)
    absent = torch.tensor([[0] * 5, [0, 0, 1, 0, 0], [0, 1, 0, 1, 1]], dtype=torch.bool)
    later = torch.ones(TIME, TIME).triu(1).bool()
    results |= {"x": x.clone(), "dy": dy, "absent": absent}
    modules = {"attention": nn.MultiheadAttention(K, HEADS, batch_first=True)}
    for norm in ("pre", "post"):
        for activation in ("relu", "gelu"):
            modules[f"encoder-{norm}-{activation}"] = nn.TransformerEncoderLayer(
                K, HEADS, HIDDEN, 0.0, activation, batch_first=True, norm_first=norm == "pre",
            )  # fmt: skip
    for name, module in modules.items():
        redraw(module, results, name)
        for masked in (False, True):
            for causal in (False, True):
                case = f"{name}-{'masked' if masked else 'whole'}-{'causal' if causal else 'both'}"
                mask = {
                    "attn_mask" if name == "attention" else "src_mask": later if causal else None
                }
                key = "key_padding_mask" if name == "attention" else "src_key_padding_mask"
                mask[key] = absent if masked else None
                here = x.clone().requires_grad_()
                there = torch.where(absent[..., None], 0, dy) if masked else dy

                def call(module, x, name=name, mask=mask):
                    return module(x, x, x, **mask)[0] if name == "attention" else module(x, **mask)

                run(module, call, here, there, results, case)


def lookups(results):
    codes = torch.tensor([[1, 4, 2, 2], [3, 0, 0, 0], [0, 0, 0, 0], [4, 1, 0, 3]])
    results["codes"] = codes
    for padding in (None, 0):
        embedding = nn.Embedding(5, 3, padding_idx=padding)
        redraw(embedding, results, f"embedding-{padding}")
        dy = torch.randn(4, 4, 3)
        results[f"embedding-{padding}-dy"] = dy
        run(embedding, lambda module, x: module(x), codes, dy, results, f"embedding-{padding}")
        for mode in ("mean", "sum"):
            bag, case = nn.EmbeddingBag(5, 3, mode=mode, padding_idx=padding), f"{mode}-{padding}"
            redraw(bag, results, case)
            results[f"{case}-dy"] = dy[:, 0].clone()
            run(bag, lambda module, x: module(x), codes, dy[:, 0].clone(), results, case)


def main():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    results: dict = {}
    sequences(results)
    lookups(results)
    arrays = {name: value.numpy() for name, value in results.items()}
    np.savez_compressed(Path(__file__).with_name("attention.npz"), **arrays)


if __name__ == "__main__":
    main()
