"""Optimizers: how a gradient changes the parameters.

An optimizer works on the network's one flat vector of parameters. It holds hyperparameters only;
what it remembers between steps is a dict of arrays that `init_state` makes.
"""

from skbp.optimizers.adam import Adam, AdamW, AMSGrad, LazyAdam, NAdam, RAdam
from skbp.optimizers.adaptive import Adadelta, Adagrad, RMSprop
from skbp.optimizers.base import Optimizer
from skbp.optimizers.group import Group
from skbp.optimizers.lion import Lion
from skbp.optimizers.muon import Muon
from skbp.optimizers.sgd import SGD

__all__ = [
    "OPTIMIZERS",
    "SGD",
    "AMSGrad",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Group",
    "LazyAdam",
    "Lion",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
]

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "adam": Adam,
    "lazy_adam": LazyAdam,
    "adamw": AdamW,
    "nadam": NAdam,
    "amsgrad": AMSGrad,
    "radam": RAdam,
    "rmsprop": RMSprop,
    "adagrad": Adagrad,
    "adadelta": Adadelta,
    "lion": Lion,
    "muon": Muon,
}
