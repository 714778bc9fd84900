"""Make optimizers.json: where PyTorch's optimizers go along given gradients, in float64.

The gradients do not depend on the parameters: else some paths would blow up rounding. They have
six sizes, zero among them, and change sign and size over the steps. Run with PyTorch (made with
2.13): ``python tests/goldens/make_optimizers.py``.

A case names an optimizer of skbp with its hyperparameters, the learning rate, and the `strength` of
an L2 penalty, PyTorch's coupled weight decay; `path` are the parameters after the steps in `steps`.
"""

import json
from pathlib import Path

import numpy as np
import torch

STEPS = [1, 2, 5, 6, 7, 20, 50]
SIZES = np.array([0.0, 1e-4, 0.1, 1.0, 3.0, 100.0])

MOMENTS = [(0.9, 0.999, 1e-8), (0.5, 0.9, 1e-3), (0.0, 0.99, 1e-8), (0.95, 0.5, 1e-2)]
NAMES = {"momentum": "momentum", "nesterovs_momentum": "nesterov", "epsilon": "eps", "rho": "rho"}


def of_moments(name, lr, torch_class, extra=({},), **fixed):
    """Yield cases of the relatives of Adam: (name, settings, lr, strength, torch's optimizer)."""
    for beta_1, beta_2, epsilon in MOMENTS:
        for more in extra:
            for strength in (0.0, 0.1) if name != "adamw" else (0.0,):
                own = {"beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon, **more}
                decay = {"weight_decay": strength, **more}
                theirs = {"betas": (beta_1, beta_2), "eps": epsilon, **decay, **fixed}
                yield name, own, lr, strength, (torch_class, theirs)


def of_others():
    """Yield cases of the other optimizers."""
    optim = torch.optim
    for strength in (0.0, 0.1):
        for own in ({"momentum": 0.0}, {"momentum": 0.8}, {"rho": 0.9, "epsilon": 1e-3}):
            for centered in (False, True):
                theirs = {"alpha" if k == "rho" else NAMES[k]: v for k, v in own.items()}
                theirs |= {"centered": centered, "weight_decay": strength}
                yield "rmsprop", {**own, "centered": centered}, 0.05, strength, (
                    optim.RMSprop, theirs,
                )  # fmt: skip
        for name, lr, torch_class, settings in (
            ("adagrad", 0.5, optim.Adagrad, ({}, {"epsilon": 0.1})),
            ("adadelta", 1.0, optim.Adadelta, ({}, {"rho": 0.5, "epsilon": 1e-3})),
            ("adadelta", 5.0, optim.Adadelta, ({},)),
            ("sgd", 0.05, optim.SGD, (
                {"momentum": 0.0, "nesterovs_momentum": False},
                {"momentum": 0.9, "nesterovs_momentum": False},
                {"momentum": 0.9, "nesterovs_momentum": True},
            )),
        ):  # fmt: skip
            for own in settings:
                theirs = {NAMES[key]: value for key, value in own.items()}
                yield name, own, lr, strength, (torch_class, {**theirs, "weight_decay": strength})


def cases():
    """Yield all cases."""
    optim = torch.optim
    yield from of_moments(
        "adamw", 0.1, optim.AdamW, [{"weight_decay": w} for w in (0.0, 0.01, 0.5)]
    )
    yield from of_moments("amsgrad", 0.1, optim.Adam, amsgrad=True)
    yield from of_moments(
        "nadam", 0.1, optim.NAdam, [{"momentum_decay": psi} for psi in (4e-3, 0.0, 0.5)]
    )
    yield from of_moments("radam", 0.1, optim.RAdam)
    yield from of_others()


def problem():
    """Return the gradients of each step, and the parameters to start from."""
    t, i = np.arange(STEPS[-1])[:, None], np.arange(len(SIZES))
    return SIZES * (0.3 + np.sin(1 + t * (1 + i) / 7)) * np.exp(-t / 20), 3 * np.cos(1 + 2 * i)


def path(gradients, start, lr, torch_class, settings):
    """Return the parameters after each of STEPS."""
    params = torch.nn.Parameter(torch.tensor(start))
    optimizer, found = torch_class([params], lr=lr, **settings), []
    for t, gradient in enumerate(gradients, 1):
        params.grad = torch.tensor(gradient)
        optimizer.step()
        if t in STEPS:
            found.append(params.detach().tolist())
    return found


def main():
    """Write the file."""
    torch.set_default_dtype(torch.float64)  # also for what an optimizer counts
    gradients, start = problem()
    golden = {
        "gradients": gradients.tolist(), "start": start.tolist(), "steps": STEPS,
        "cases": [
            {"name": name, "settings": own, "lr": lr, "strength": strength,
             "path": path(gradients, start, lr, *theirs)}
            for name, own, lr, strength, theirs in cases()
        ],
    }  # fmt: skip
    target = Path(__file__).with_name("optimizers.json")
    lines = json.dumps(golden).replace('{"name"', '\n{"name"')
    target.write_text(lines + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
