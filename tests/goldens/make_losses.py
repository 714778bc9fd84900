"""Make losses.json: values of losses as PyTorch computes them, gradients as it derives them.

Run with an interpreter that has torch: ``python make_losses.py``. In float64; weighted mean over
rows of the sum over outputs.
"""

import json
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

N, K = 7, 3
RNG = np.random.default_rng(0)
WEIGHT = RNG.uniform(0.1, 2, N)
WEIGHT /= WEIGHT.sum()
CLASSES = torch.tensor(RNG.integers(0, K, N))
YES_NO = torch.tensor(RNG.integers(0, 2, (N, K)).astype(float))
SHARES = torch.tensor(RNG.uniform(0, 1, (N, K)))
NUMBERS = torch.tensor(RNG.normal(size=(N, K)))
AMOUNTS = torch.tensor(RNG.gamma(2, 1, (N, K)))
SOME_ZERO = torch.tensor(AMOUNTS.numpy() * RNG.integers(0, 2, (N, K)))


def focal(log_p, gamma):
    return -((1 - log_p.exp()) ** gamma) * log_p


def crammer_singer(z, y):
    own = torch.zeros_like(z, dtype=torch.bool)
    own[torch.arange(len(y)), y] = True
    return F.relu(1 + z.masked_fill(own, -torch.inf).amax(dim=1) - z[own])


def pinball(z, y, levels):
    z = z.reshape(N, K, -1)
    quantiles = torch.cumsum(torch.cat([z[..., :1], F.softplus(z[..., 1:])], dim=-1), dim=-1)
    error, level = y[..., None] - quantiles, torch.tensor(levels, dtype=torch.float64)
    return torch.where(error >= 0, level * error, (level - 1) * error)


def gaussian(z, y, min_std):
    z = z.reshape(N, K, 2)
    variance = z[..., 1].exp() + min_std**2
    return F.gaussian_nll_loss(z[..., 0], y, variance, full=True, eps=1e-30, reduction="none")


def tweedie(z, y, p):
    constant = torch.clamp(y, min=0) ** (2 - p) / ((1 - p) * (2 - p))
    return constant - y * ((1 - p) * z).exp() / (1 - p) + ((2 - p) * z).exp() / (2 - p)


def smoothed(y, s):
    return y * (1 - s) + s / 2


# (name in the registry, hyperparameters, kind of targets, targets, raw outputs a target, loss)
CASES = [
    *(("log_loss", {"label_smoothing": s}, "multiclass", CLASSES, 1, lambda z, y, s=s:
       F.cross_entropy(z, y, label_smoothing=s, reduction="none")) for s in (0.0, 0.1, 0.7)),
    *(("log_loss", {"label_smoothing": s}, "multilabel", YES_NO, 1, lambda z, y, s=s:
       F.binary_cross_entropy_with_logits(z, smoothed(y, s), reduction="none"))
      for s in (0.0, 0.1, 0.7)),
    *(("binary_log_loss", {"label_smoothing": s}, "numbers", SHARES, 1, lambda z, y, s=s:
       F.binary_cross_entropy_with_logits(z, smoothed(y, s), reduction="none"))
      for s in (0.0, 0.3)),
    *(("focal", {"gamma": g}, "multiclass", CLASSES, 1, lambda z, y, g=g:
       focal(torch.log_softmax(z, dim=1)[torch.arange(N), y], g)) for g in (0.0, 0.5, 2.0)),
    *(("focal", {"gamma": g}, "multilabel", YES_NO, 1, lambda z, y, g=g:
       focal(F.logsigmoid((2 * y - 1) * z), g)) for g in (0.0, 0.5, 2.0)),
    ("hinge", {}, "multiclass", CLASSES, 1, crammer_singer),
    ("hinge", {}, "multilabel", YES_NO, 1, lambda z, y: F.relu(1 - (2 * y - 1) * z)),
    ("squared_error", {}, "numbers", NUMBERS, 1, lambda z, y: (z - y) ** 2 / 2),
    ("absolute_error", {}, "numbers", NUMBERS, 1, lambda z, y: F.l1_loss(z, y, reduction="none")),
    *(("huber", {"delta": d}, "numbers", NUMBERS, 1, lambda z, y, d=d:
       F.huber_loss(z, y, delta=d, reduction="none")) for d in (0.3, 1.0, 2.0)),
    ("log_cosh", {}, "numbers", NUMBERS, 1, lambda z, y: torch.cosh(z - y).log()),
    ("quantile", {"quantile": 0.3}, "numbers", NUMBERS, 1, lambda z, y: pinball(z, y, [0.3])),
    ("quantile", {"quantile": [0.1, 0.5, 0.8]}, "numbers", NUMBERS, 3,
     lambda z, y: pinball(z, y, [0.1, 0.5, 0.8])),
    ("poisson", {}, "numbers", SOME_ZERO, 1, lambda z, y: torch.xlogy(y, y) - y
     + F.poisson_nll_loss(z, y, log_input=True, full=False, reduction="none")),
    ("gamma", {}, "numbers", AMOUNTS, 1, lambda z, y: z - y.log() + y / z.exp() - 1),
    *(("tweedie", {"power": p}, "numbers", SOME_ZERO if 1 < p < 2 else AMOUNTS, 1,
       lambda z, y, p=p: tweedie(z, y, p)) for p in (-1.0, 0.0, 1.2, 1.5, 1.9, 2.5, 3.0)),
    ("tweedie", {"power": -0.5}, "numbers", NUMBERS, 1, lambda z, y: tweedie(z, y, -0.5)),
    *(("gaussian_nll", {"min_std": m}, "numbers", NUMBERS, 2, lambda z, y, m=m: gaussian(z, y, m))
      for m in (1e-3, 0.5)),
]  # fmt: skip


def golden(name, params, kind, y, n_raw, loss):
    raw = torch.tensor(np.random.default_rng(1).normal(0, 1.5, (N, K * n_raw)), requires_grad=True)
    value = (torch.tensor(WEIGHT) * loss(raw, y).reshape(N, -1).sum(dim=1)).sum()
    value.backward()
    return {
        "loss": name, "params": params, "kind": kind, "raw": raw.tolist(), "y": y.tolist(),
        "weight": WEIGHT.tolist(), "value": value.item(), "grad": raw.grad.tolist(),
    }  # fmt: skip


if __name__ == "__main__":
    path = Path(__file__).with_name("losses.json")
    lines = ",\n".join(json.dumps(golden(*case)) for case in CASES)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
