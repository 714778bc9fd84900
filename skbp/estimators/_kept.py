"""Whether the attributes of an estimator out of a file go together."""

from math import prod
from numbers import Integral

import numpy as np

from skbp._engine.content import Misfit, like
from skbp._engine.history import History, OptimizerMemory
from skbp._engine.network import Network
from skbp._forms import Is, fits_form, require
from skbp.estimators._plan import optimizer_of
from skbp.losses import Loss

#: What attributes of a fitted network are.
FITTED = {
    "_network": Is(Network), "_history": Is(History), "_loss": Is(Loss), "dtype_": Is(np.dtype),
    "_input_dtype": Is(np.dtype), "n_outputs_": Is(Integral), "n_features_in_": Is(Integral),
}  # fmt: skip


def check_network(estimator, more):
    """Raise a ValueError unless attributes of a network go together, or there are none.

    Parameters
    ----------
    estimator : estimator
    more : dict of str to container
        What else it has if it is fitted.
    """
    has = vars(estimator)
    if "_network" not in has:
        return
    fits_form(estimator, FITTED | more)
    network, loss = has["_network"], has["_loss"]
    shape = network.output_shape
    require(shape and has["n_outputs_"] == shape[-1], estimator, "other n_outputs_ than outputs")
    require(has["dtype_"] == network.params.dtype, estimator, "another dtype_ than its network")
    require(has["_input_dtype"].kind in "fiub", estimator, "rows that are no numbers")
    fits = has["n_features_in_"] == prod(network.input_shape)
    require(fits, estimator, f"other n_features_in_ than rows of shape {network.input_shape}")
    fits = len(shape) == 1 + network.of_members + estimator._targets_by_step
    fits = fits and estimator._target_kind() in loss.targets
    require(fits, estimator, f"a loss, {loss!r:.100}, for other outputs or targets")
    targets = has.get("_targets")
    fits = targets is None or np.array_equal(targets.classes, has["classes_"])
    starts = [has[name].shape for name in ("_start_counts", "start_proba_") if name in has]
    fits = fits and all(one == (has["n_symbols_"],) for one in starts)
    require(fits, estimator, "other classes, or symbols, than it was trained for")
    n = has.get("_n_columns", has.get("n_symbols_")) if targets is None else targets.n_outputs
    if loss.n_outputs(n) != shape[-1]:
        raise ValueError(
            f"a {type(estimator).__name__} has targets that take {loss.n_outputs(n)} outputs by "
            f"its loss, but its network has {shape[-1]}"
        )
    _check_memory(estimator, has["_history"], network)


def _check_memory(estimator, history, network):
    """Raise a ValueError unless an optimizer's memory is for the parameters of a network.

    That of an optimizer which is no longer the estimator's is forgotten: training does not use it,
    and there is no telling what it has to be.
    """
    optimizer, memory = optimizer_of(estimator), history.optimizer
    if optimizer is None or memory.name != type(optimizer).__name__:
        history.optimizer = OptimizerMemory()
        return
    try:
        if memory.arrays is not None:
            like("arrays", memory.arrays, optimizer.init_state(network.params))
        for name in ("average", "training_params"):
            if getattr(memory, name) is not None:
                like(name, getattr(memory, name), network.params)
    except Misfit as error:
        raise ValueError(f"the optimizer's memory does not fit its network: {error}") from error
    n, own = len(memory.skipped), len(network.parameters)
    require(n == own or (n == 0 and memory.arrays is None), estimator, "steps of other parameters")
    require(all(one <= memory.steps for one in memory.skipped), estimator, "steps never taken")
