"""Whether the attributes of an estimator out of a file go together."""

from os import PathLike

import numpy as np

from skbp._engine.content import Misfit, like
from skbp._engine.history import History, OptimizerMemory
from skbp._engine.network import Network
from skbp.estimators._plan import optimizer_of
from skbp.losses import Loss

#: What attributes of a fitted network are.
TYPES = {"_network": Network, "_history": History, "_loss": Loss, "_input_dtype": np.dtype}


def check_network(estimator):
    """Raise a ValueError unless attributes of a network go together, or there are none."""
    name, has = type(estimator).__name__, vars(estimator)
    if isinstance(has["init_from"], str | PathLike):  # fit would unpickle what is there
        raise ValueError(f"a {name} has an init_from that is a path: {has['init_from']!r:.100}")
    if "_network" not in has:
        return
    for attribute, kind in TYPES.items():
        if not isinstance(has.get(attribute), kind):
            raise ValueError(f"a {name} has a {attribute} that is no {kind.__name__}")
    network, loss = has["_network"], has["_loss"]
    n_outputs = network.output_shape[-1]
    if has.get("n_outputs_") != n_outputs or has.get("dtype_") != network.params.dtype:
        raise ValueError(f"a {name} has other n_outputs_ or another dtype_ than its network")
    targets = has.get("_targets")
    if targets is not None:
        classes = targets.classes
        if not isinstance(classes, np.ndarray) or classes.ndim != 1:
            raise ValueError(f"a {name} has classes that are no labels in one axis")
        if loss.n_outputs(targets.n_outputs) != n_outputs:
            raise ValueError(
                f"a {name} has {len(classes)} classes, but its network has {n_outputs} outputs"
            )
    _check_memory(estimator, has["_history"].optimizer, network)


def _check_memory(estimator, memory, network):
    """Raise a ValueError unless an optimizer's memory is for the parameters of a network."""
    optimizer = optimizer_of(estimator)
    if not isinstance(memory, OptimizerMemory):
        raise ValueError("the optimizer's memory is none")
    if optimizer is None or memory.name != type(optimizer).__name__:
        return  # of another solver: not used
    try:
        if memory.arrays is not None:
            like("arrays", memory.arrays, optimizer.init_state(network.params))
        for name in ("average", "training_params"):
            if getattr(memory, name) is not None:
                like(name, getattr(memory, name), network.params)
    except Misfit as error:
        raise ValueError(f"the optimizer's memory does not fit its network: {error}") from error
    if len(memory.skipped) not in (0, len(network.parameters)):
        raise ValueError("the optimizer's memory counts steps of other parameters")
