"""Write schedules.json: rates of torch.optim.lr_scheduler, to compare skbp.schedules with.

Run it with a Python that has torch (the file was made with 2.13); the tests only read the file.
"""

import json
from functools import partial
from pathlib import Path

import torch
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LinearLR,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    SequentialLR,
    StepLR,
)

INITIAL = 0.3
UPDATES, PER_EPOCH = 120, 5  # so 24 epochs


def rates(build, n):
    """Return n rates that a torch scheduler gives, the first before any step."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=INITIAL)
    schedule, seen = build(optimizer), []
    for step in range(n):
        seen.append(float(optimizer.param_groups[0]["lr"]))
        if step < n - 1:
            optimizer.step()
            schedule.step()
    return seen


def warm(length, after):
    """Return a builder of a linear rise over so many updates, then another schedule."""

    def build(optimizer):
        rise = LinearLR(optimizer, 1 / (length + 1), 1.0, total_iters=length)
        return SequentialLR(optimizer, [rise, after(optimizer)], [length])

    return build


def one_cycle(total=UPDATES, **params):
    """Return the rates of a OneCycleLR with that many steps."""
    params = {"max_lr": INITIAL, "cycle_momentum": False, "total_steps": total, **params}
    return rates(partial(OneCycleLR, **params), total)


BY_EPOCH = {
    "step": rates(partial(StepLR, step_size=7, gamma=0.4), 40),
    "milestones": rates(partial(MultiStepLR, milestones=[3, 4, 11], gamma=0.5), 40),
    "exponential": rates(partial(ExponentialLR, gamma=0.9), 40),
}
BY_UPDATE = {
    "polynomial": rates(partial(PolynomialLR, total_iters=UPDATES, power=0.9), UPDATES + 10),
    "cosine": rates(partial(CosineAnnealingLR, T_max=UPDATES), UPDATES),
    "cosine_final": rates(partial(CosineAnnealingLR, T_max=UPDATES, eta_min=0.03), UPDATES),
    "restarts": rates(partial(CosineAnnealingWarmRestarts, T_0=3 * PER_EPOCH, T_mult=2), UPDATES),
    "restarts_equal": rates(
        partial(CosineAnnealingWarmRestarts, T_0=4 * PER_EPOCH, T_mult=1, eta_min=0.03), UPDATES
    ),
    "one_cycle": one_cycle(),
    "one_cycle_linear": one_cycle(max_lr=1.2, div_factor=10.0, final_div_factor=50.0,
                                  pct_start=0.45, anneal_strategy="linear"),
    "one_cycle_rise_only": one_cycle(pct_start=1.0),
    "one_cycle_odd": one_cycle(total=7),
    "warm_constant": rates(warm(12, partial(StepLR, step_size=1000)), UPDATES),
    "warm_cosine": rates(warm(30, partial(CosineAnnealingLR, T_max=UPDATES - 30)), UPDATES),
    "warm_restarts": rates(
        warm(13, partial(CosineAnnealingWarmRestarts, T_0=2 * PER_EPOCH, T_mult=3)), UPDATES
    ),
    "warm_exponential": rates(warm(20, partial(ExponentialLR, gamma=0.98)), UPDATES),
}  # fmt: skip

if __name__ == "__main__":
    goldens = {"initial": INITIAL, "updates": UPDATES, "per_epoch": PER_EPOCH,
               "by_epoch": BY_EPOCH, "by_update": BY_UPDATE}  # fmt: skip
    path = Path(__file__).with_name("schedules.json")
    path.write_text(json.dumps(goldens).replace("], ", "],\n") + "\n")
