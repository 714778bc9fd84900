"""The state of a training, out of the parts of a fit and back into them."""

import numpy as np

from skbp._engine.checkpoint import TrainingState

#: Fields of a `History` that go into a checkpoint as they are.
NUMBERS = (
    "n_iter", "loss", "loss_curve", "best_loss", "best_validation_score", "best_epoch",
    "no_improvement", "plateaus", "epochs", "updates", "records", "missed", "frozen",
)  # fmt: skip


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
        optimizer_state={name: np.array(a) for name, a in history.optimizer_state.items()},
        optimizer_name=history.optimizer_name,
        steps=history.steps,
        samples=history.samples,
        rng_state=batches.rng.get_state(legacy=False),
        noise_state=None if noise is None else noise.bit_generator.state,
        order=None if batches.order is None else batches.order.copy(),
        history={name: _copy(getattr(history, name)) for name in NUMBERS},
        best=best,
        ema=None if history.average is None else history.average.copy(),
        split=batches.split,
        fingerprint=fingerprint(network, history, batches),
    )


def _copy(value):
    return [_copy(item) for item in value] if isinstance(value, list) else value


def fingerprint(network, history, batches):
    """Return what has to be the same for training to go on from a state."""
    return {
        "layers": [type(layer).__name__ for layer in network.layers],
        "n_params": network.params.size,
        "dtype": network.params.dtype.name,
        "n_rows": batches.n_rows,
        "batch_size": batches.batch_size,
        "optimizer": history.optimizer_name,
    }


def check_fingerprint(state, now):
    """Raise a ValueError if a state is that of another fit."""
    then = state.fingerprint
    differ = [name for name, value in now.items() if then.get(name) != value]
    if differ:
        told = ", ".join(f"{name} {then.get(name)!r}, not {now[name]!r}" for name in differ)
        raise ValueError(
            f"resume_from is the checkpoint of another fit: it has {told}. Give the data and the "
            "parameters of that fit, or remove the checkpoint."
        )


def put_back(state, network, history, batches, noise):
    """Set the parts of a fit to a state; parameters as for `capture`.

    Raises
    ------
    ValueError
        If it is the state of another fit, for example with another optimizer than
        ``history.optimizer_name``.
    """
    check_fingerprint(state, fingerprint(network, history, batches))
    network.restore((state.params, state.state))
    history.optimizer_state = dict(state.optimizer_state)
    history.steps, history.samples, history.average = state.steps, state.samples, state.ema
    for name in NUMBERS:
        setattr(history, name, state.history[name])
    batches.rng.set_state(state.rng_state)
    batches.order = state.order
    if noise is not None:
        noise.bit_generator.state = state.noise_state
