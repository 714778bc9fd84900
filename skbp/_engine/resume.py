"""The state of a training, out of the parts of a fit and back into them."""

from dataclasses import asdict, fields

from skbp._engine.checkpoint import TrainingState
from skbp._engine.history import Best, OptimizerMemory, Progressing, copied

#: The parts of a `History` that are dataclasses.
PARTS = {"optimizer": OptimizerMemory, "call": Progressing, "best": Best}


def capture(network, history, batches, noise, best=None, fingerprint=None, unseen=None):
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
    fingerprint : dict, optional
        What a fit must share to go on from here: see `skbp._engine.fingerprint`.
    unseen : tuple of ndarray or None
        Arrays of `ChosenByOthers`.

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
        fingerprint=fingerprint or {},
        unseen=unseen,
    )


def put_back(state, network, history, batches, noise):
    """Set the parts of a fit to a state, which stays as it is; parameters as for `capture`.

    It has to be a state of this fit: see `Needs.check` and `check_fingerprint`.
    """
    network.restore((state.params, state.state))
    for one in fields(history):
        kept = copied(state.history[one.name])
        setattr(history, one.name, PARTS[one.name](**kept) if one.name in PARTS else kept)
    batches.rng.set_state(state.rng_state)
    batches.order = state.order
    if noise is not None:
        noise.bit_generator.state = state.noise_state
