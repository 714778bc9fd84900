"""PyTorch's twin of a text model's network: the same layers, weights, batches and updates."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


def rotated(x):
    """Turn queries or keys, shape (n, heads, time, d), by their places."""
    time, d = x.shape[-2:]
    angle = torch.arange(time)[:, None] * 10000.0 ** (-torch.arange(0, d, 2) / d)
    one, other = x.chunk(2, dim=-1)
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([one * cos - other * sin, one * sin + other * cos], dim=-1)


class Block(nn.Module):
    def __init__(self, width, n_heads):
        super().__init__()
        self.n_heads = n_heads
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.back = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        n, time, width = x.shape
        parts = self.qkv(self.first(x)).view(n, time, 3, self.n_heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = rotated(parts[0]), rotated(parts[1]), parts[2]
        found = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(found.transpose(1, 2).reshape(n, time, width))
        return x + self.back(F.gelu(self.wide(self.second(x))))


class Twin(nn.Module):
    """The network of a text model, with its weights.

    Parameters
    ----------
    weights : dict of str to ndarray
        As `weights_` of a `BackpropSequenceModel`.
    n_blocks, n_heads : int
    rates : dict
        "weight_decay" and "beta_2" of AdamW, "clip_norm".
    """

    def __init__(self, weights, n_blocks, n_heads, rates):
        super().__init__()
        n_codes, width = weights["tokens.weight"].shape
        self.tokens = nn.Embedding(n_codes, width)
        self.blocks = nn.ModuleList(Block(width, n_heads) for _ in range(n_blocks))
        self.norm, self.bias = nn.LayerNorm(width), nn.Parameter(torch.zeros(n_codes))
        with torch.no_grad():
            for name, parameter in self._places():
                array = weights[name]
                turned = array.ndim == 2 and name != "tokens.weight"
                parameter.copy_(torch.from_numpy(np.array(array.T if turned else array)))
        matrices = [p for p in self.parameters() if p.dim() == 2]
        others = [p for p in self.parameters() if p.dim() != 2]
        self._clip = rates["clip_norm"]
        self._adam = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": rates["weight_decay"]},
             {"params": others, "weight_decay": 0.0}],
            betas=(0.9, rates["beta_2"]), fused=True,
        )  # fmt: skip

    def _places(self):
        yield "tokens.weight", self.tokens.weight
        for i, block in enumerate(self.blocks):
            for norm, where in ((block.first, "0.0"), (block.second, "1.0")):
                yield f"block_{i}.{where}.gamma", norm.weight
                yield f"block_{i}.{where}.beta", norm.bias
            for part, name in ((block.qkv, "qkv"), (block.out, "out")):
                yield f"block_{i}.0.1.weight_{name}", part.weight
                yield f"block_{i}.0.1.bias_{name}", part.bias
            for part, where in ((block.wide, "1.1"), (block.back, "1.2")):
                yield f"block_{i}.{where}.weight", part.weight
                yield f"block_{i}.{where}.bias", part.bias
        yield "norm.gamma", self.norm.weight
        yield "norm.beta", self.norm.bias
        yield "next.bias", self.bias

    def forward(self, codes):
        x = self.tokens(codes)
        for block in self.blocks:
            x = block(x)
        return self.norm(x) @ self.tokens.weight.T + self.bias

    def update(self, rows, rate):
        """Take one step at a learning rate."""
        codes = torch.from_numpy(rows.astype(np.int64))
        for group in self._adam.param_groups:
            group["lr"] = rate
        raw = self(codes[:, :-1])
        loss = F.cross_entropy(raw.flatten(0, 1), codes[:, 1:].flatten())
        self._adam.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters(), self._clip)
        self._adam.step()

    @torch.no_grad()
    def loss(self, rows, end):
        """Return the mean loss of next codes in rows that `end` fills up."""
        codes = torch.from_numpy(rows.astype(np.int64))
        total, n = 0.0, 0
        for some in codes.split(64):
            targets = torch.where(some[:, :-1] == end, -100, some[:, 1:]).flatten()
            total += float(
                F.cross_entropy(self(some[:, :-1]).flatten(0, 1), targets, reduction="sum")
            )
            n += int((targets >= 0).sum())
        return total / n
