"""The state of a training, out of the parts of a fit and back into them."""

from dataclasses import asdict, fields

from skbp._engine.checkpoint import TrainingState
from skbp._engine.history import Best, OptimizerMemory, Progressing

#: The parts of a `History` that are dataclasses.
PARTS = {"optimizer": OptimizerMemory, "call": Progressing, "best": Best}


def capture(network, history, batches, noise, best=None):
    """Copy everything that training needs to go on with the same bits.

    Parameters
    ----------
    network : Network
    history : History
    batches : Batches
        Between two epochs.
    noise : numpy.random.Generator or None
        Source of randomness inside layers.
    best : tuple of ndarray or None
        Snapshot of the best epoch.

    Returns
    -------
    state : TrainingState
    """
    params, state = network.snapshot()
    return TrainingState(
        params=params,
        state=state,
        history=asdict(history),
        rng_state=batches.rng.get_state(legacy=False),
        noise_state=None if noise is None else noise.bit_generator.state,
        order=None if batches.order is None else batches.order.copy(),
        best=best,
        split=batches.split,
        fingerprint=fingerprint(network, history, batches),
    )


def fingerprint(network, history, batches):
    """Return what has to be the same for training to go on from a state."""
    return {
        "layers": [type(layer).__name__ for layer in network.layers],
        "n_params": network.params.size,
        "dtype": network.params.dtype.name,
        "n_rows": batches.n_rows,
        "batch_size": batches.batch_size,
        "optimizer": history.optimizer.name,
    }


def check_fingerprint(state, now):
    """Raise a ValueError if a state is that of another fit."""
    then = state.fingerprint
    differ = [name for name, value in now.items() if then.get(name) != value]
    if differ:
        told = ", ".join(f"{name} {then.get(name)!r}, not {now[name]!r}" for name in differ)
        raise ValueError(
            f"Checkpoint(resume=...) found the checkpoint of another fit: it has {told}. Give the "
            "data and the parameters of that fit, or remove the checkpoint."
        )


def put_back(state, network, history, batches, noise):
    """Set the parts of a fit to a state; parameters as for `capture`.

    Raises
    ------
    ValueError
        If it is the state of another fit, for example with another optimizer than
        ``history.optimizer.name``.
    """
    check_fingerprint(state, fingerprint(network, history, batches))
    network.restore((state.params, state.state))
    for one in fields(history):
        kept = state.history[one.name]
        setattr(history, one.name, PARTS[one.name](**kept) if one.name in PARTS else kept)
    batches.rng.set_state(state.rng_state)
    batches.order = state.order
    if noise is not None:
        noise.bit_generator.state = state.noise_state
