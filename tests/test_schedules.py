"""Schedules: each one's rates against torch's, and what happens at the edges."""

import copy
import json
import math
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import ParameterGrid

from skbp import BackpropRegressor
from skbp.estimators._plan import Plan
from skbp.optimizers import SGD
from skbp.schedules import (
    SCHEDULES,
    Adaptive,
    Constant,
    Cosine,
    CosineRestarts,
    Exponential,
    FlatCosine,
    InverseScaling,
    LogCosine,
    OneCycle,
    Polynomial,
    Progress,
    ReduceOnPlateau,
    Schedule,
    Step,
    WarmUp,
)

GOLDENS = json.loads((Path(__file__).parent / "goldens" / "schedules.json").read_text())
INITIAL, UPDATES, PER_EPOCH = (GOLDENS[name] for name in ("initial", "updates", "per_epoch"))


def at(updates, total=UPDATES, per_epoch=PER_EPOCH, plateaus=0, rows=4):
    """Return the progress after so many updates."""
    return Progress(
        samples=updates * rows, epochs=updates // per_epoch, plateaus=plateaus, updates=updates,
        total_updates=total, max_epochs=max(total // per_epoch, 1),
    )  # fmt: skip


def rates(schedule, n=UPDATES, initial=INITIAL, **progress):
    return np.array([schedule(at(updates, **progress), initial) for updates in range(n)])


# ------------------------------------------------------------ against torch

BY_EPOCH = {
    "step": Step(0.4, every=7),
    "milestones": Step(0.5, milestones=[4, 11, 3]),
    "exponential": Exponential(0.9),
}
BY_UPDATE = {
    "polynomial": Polynomial(0.9),
    "cosine": Cosine(),
    "cosine_final": Cosine(final=0.1),
    "restarts": CosineRestarts(3, 2),
    "restarts_equal": CosineRestarts(4, 1, final=0.1),
    "one_cycle": OneCycle(),
    "one_cycle_linear": OneCycle(1.2, 10.0, 50.0, 0.45, "linear"),
    "one_cycle_rise_only": OneCycle(warm_up=1.0),
    "one_cycle_odd": OneCycle(),
    "warm_constant": WarmUp(share=0.1),
    "warm_cosine": WarmUp("cosine", epochs=6),
    "warm_restarts": WarmUp(CosineRestarts(2, 3), epochs=2.6),
}


@pytest.mark.parametrize("name", BY_EPOCH)
def test_rates_of_epochs_are_those_of_torch(name):
    expected = GOLDENS["by_epoch"][name]
    got = [BY_EPOCH[name](Progress(epochs=epoch), INITIAL) for epoch in range(len(expected))]
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    assert not BY_EPOCH[name].per_update


@pytest.mark.parametrize("name", BY_UPDATE)
def test_rates_of_updates_are_those_of_torch(name):
    expected = GOLDENS["by_update"][name]
    total = min(len(expected), UPDATES)
    got = rates(BY_UPDATE[name], len(expected), total=total)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)
    assert BY_UPDATE[name].per_update


def test_warm_up_before_a_schedule_that_counts_epochs():
    # torch's steps once an update: let an epoch be one
    expected = GOLDENS["by_update"]["warm_exponential"]
    got = rates(WarmUp(Exponential(0.98), epochs=20), per_epoch=1)
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    # five updates an epoch: the epochs count from the end of the warm-up, here within the second
    got = rates(WarmUp(Step(0.5, every=1), epochs=1.4))
    np.testing.assert_allclose(got[:8], INITIAL * np.arange(1, 9) / 8, rtol=1e-12)
    np.testing.assert_allclose(got[7:12], INITIAL, rtol=1e-12)
    np.testing.assert_allclose(got[12:17], INITIAL / 2, rtol=1e-12)


def test_every_schedule_is_compared_with_something():
    compared = {type(schedule) for schedule in (*BY_EPOCH.values(), *BY_UPDATE.values())}
    elsewhere = {Constant, InverseScaling, Adaptive, ReduceOnPlateau}  # here and test_components
    elsewhere |= {LogCosine, FlatCosine}
    assert compared | elsewhere == set(SCHEDULES.values())


@pytest.mark.parametrize("cycles", [1, 2, 4])
def test_waves_of_log_cosine(cycles):
    total = 10_000
    got = np.array([LogCosine(cycles)(at(n, total=total), 0.5) for n in range(total)])
    t = (np.arange(total) + 0.5) / total
    expected = 0.25 * (1 - np.cos(2 * np.pi * np.log2(1 + (2**cycles - 1) * t)))
    np.testing.assert_allclose(got, expected, rtol=1e-9)
    ends = [round((2**k - 1) / (2**cycles - 1) * total) for k in range(1, cycles + 1)]
    assert max(got[end - 1] for end in ends) < 1e-4  # each wave ends low,
    begins = [0, *ends[:-1]]
    assert min(got[a:b].max() for a, b in zip(begins, ends, strict=True)) > 0.499  # and gets high


def test_flat_cosine():
    got = [FlatCosine(0.25)(at(n, total=8), 2.0) for n in range(9)]
    falling = [1 + np.cos(np.pi * n / 6) for n in range(1, 7)]
    np.testing.assert_allclose(got, [2.0, 2.0, 2.0, *falling], atol=1e-12)


def test_names():
    assert list(SCHEDULES) == [
        "constant", "invscaling", "adaptive", "step", "exponential", "polynomial", "cosine",
        "cosine_restarts", "log_cosine", "flat_cosine", "one_cycle", "warm_up",
        "reduce_on_plateau",
    ]  # fmt: skip


# ------------------------------------------------------------ plateaus


def test_reduce_on_plateau():
    schedule = ReduceOnPlateau(0.1, min_rate=1e-4)
    got = [schedule(Progress(plateaus=plateaus), 0.1) for plateaus in range(6)]
    np.testing.assert_allclose(got, [1e-1, 1e-2, 1e-3, 1e-4, 1e-4, 1e-4], rtol=1e-12)
    assert schedule.survives_plateau(1.1e-4)
    assert not schedule.survives_plateau(1e-4)  # no lower rate would come
    assert schedule(Progress(plateaus=3), 1e-5) == 1e-5  # the floor does not lift


def test_patience():
    assert all(SCHEDULES[name]().patience is None for name in SCHEDULES)
    assert ReduceOnPlateau(patience=3).patience == 3
    assert WarmUp(ReduceOnPlateau(patience=0)).patience == 0


def test_warm_up_takes_plateaus_as_the_schedule_inside_does():
    assert WarmUp("adaptive").survives_plateau(1e-3)
    assert not WarmUp("adaptive").survives_plateau(1e-6)
    assert not WarmUp("cosine").survives_plateau(1.0)
    assert WarmUp(ReduceOnPlateau(0.5))(at(60, plateaus=2), 1.0) == 0.25


# ------------------------------------------------------------ the edges

WITH_SETTINGS = [
    *(SCHEDULES[name]() for name in SCHEDULES),
    *BY_EPOCH.values(),
    *BY_UPDATE.values(),
    WarmUp("one_cycle", share=0.0),
    WarmUp("one_cycle", share=1.0),
    WarmUp("cosine_restarts", epochs=1e9),
    WarmUp(WarmUp("polynomial", epochs=2), epochs=1),
    OneCycle(warm_up=0.0),
    CosineRestarts(1.5, 1.1),
]


@pytest.mark.parametrize("schedule", WITH_SETTINGS, ids=repr)
@pytest.mark.parametrize("total, per_epoch", [(1, 1), (2, 1), (2, 2), (7, 7), (120, 5), (999, 1)])
def test_rates_are_numbers_from_first_to_beyond_the_last(schedule, total, per_epoch):
    got = rates(schedule, 3 * total + 5, total=total, per_epoch=per_epoch)
    assert all(isinstance(rate, float) for rate in got)
    assert np.isfinite(got).all()
    assert (got >= 0).all()
    assert (got[:total] > 0).all()  # no update is wasted
    highest = getattr(schedule, "max_rate", None) or INITIAL
    assert got.max() <= highest * (1 + 1e-15)


@pytest.mark.parametrize("schedule", WITH_SETTINGS, ids=repr)
def test_one_update_has_a_rate_of_use(schedule):
    rate = schedule(at(0, total=1, per_epoch=1), 0.5)
    assert rate >= (getattr(schedule, "max_rate", None) or 0.5) / 30


@pytest.mark.parametrize("schedule", [Polynomial(2.0, 0.1), Cosine(0.1), OneCycle()], ids=repr)
def test_beyond_the_last_update_the_rate_stays(schedule):
    last = schedule(at(UPDATES if not isinstance(schedule, OneCycle) else UPDATES - 1), INITIAL)
    for updates in (UPDATES, UPDATES + 1, 10**9):
        assert schedule(at(updates), INITIAL) == last
    assert last == pytest.approx(INITIAL * (0.1 if hasattr(schedule, "final") else 1 / 25e4))
    warm = WarmUp(schedule, epochs=2)
    assert warm(at(10**9), INITIAL) == pytest.approx(last, rel=1e-12)


@pytest.mark.parametrize(
    "schedule",
    [Constant(), Step(0.3, every=2), Exponential(), InverseScaling(), *map(Polynomial, (0.5, 1, 3)),
     Polynomial(final=0.2), Cosine(), Cosine(final=0.5), Cosine(final=1.0)],
    ids=repr,
)  # fmt: skip
def test_falls_and_never_rises(schedule):
    got = rates(schedule, UPDATES + 5)
    assert got[0] == INITIAL
    assert (np.diff(got) <= 1e-16).all()


@pytest.mark.parametrize("anneal", ["cos", "linear"])
def test_one_cycle_rises_once_and_falls_once(anneal):
    got = rates(OneCycle(0.8, anneal=anneal))
    top = int(got.argmax())
    assert top == 0.3 * UPDATES - 1
    assert got[0] == pytest.approx(0.8 / 25)
    assert got[top] == pytest.approx(0.8)
    assert got[-1] == pytest.approx(0.8 / 25 / 1e4)
    assert (np.diff(got[: top + 1]) > 0).all()
    assert (np.diff(got[top:]) < 0).all()


@pytest.mark.parametrize("share", [0.0, 1e-6, 1 / 120, 0.5, 1.0])
def test_warm_up_rises_to_the_first_rate_of_what_follows(share):
    length = round(share * UPDATES)
    got = rates(WarmUp(Cosine(), share))
    assert (np.diff(got[: length + 1]) > 0).all()
    assert (np.diff(got[length:]) < 0).all()
    if length < UPDATES:
        assert got[length] == INITIAL


def test_restarts_are_on_time():
    # also where periods are no powers of two, and no rounding may shift them by an update
    got = rates(CosineRestarts(3, 3), 3 * 40 * 7, total=3 * 40 * 7, per_epoch=7)
    starts = np.flatnonzero(np.diff(got) > 0) + 1
    np.testing.assert_array_equal(starts, 7 * np.array([3, 12, 39]))
    np.testing.assert_allclose(got[starts], INITIAL, rtol=1e-12)


# ------------------------------------------------------------ components


@pytest.mark.parametrize("schedule", WITH_SETTINGS, ids=repr)
def test_copies_give_the_same_rates(schedule):
    expected = rates(schedule)
    copies = clone(schedule), copy.deepcopy(schedule), pickle.loads(pickle.dumps(schedule))
    for twin in copies:
        np.testing.assert_array_equal(rates(twin), expected)


def test_nested_parameters():
    net = BackpropRegressor(learning_rate=WarmUp(OneCycle(), share=0.2))
    net.set_params(learning_rate__schedule__max_rate=0.5, learning_rate__share=0.3)
    assert net.learning_rate.schedule.max_rate == 0.5
    twin = clone(net)
    assert twin.get_params()["learning_rate__schedule__max_rate"] == 0.5
    assert twin.learning_rate.schedule is not net.learning_rate.schedule
    grid = ParameterGrid({"learning_rate__schedule": ["constant", Step(), Cosine()]})
    for params in grid:
        Plan.of(clone(net).set_params(**params))


@pytest.mark.parametrize(
    "schedule, name",
    [
        (Step(milestones=[]), None),
        (Step(milestones=np.array([3, 8])), None),
        (Step(milestones="30"), "milestones"),
        (Step(milestones=[0, 3]), "milestones"),
        (Step(milestones=[2.5]), "milestones"),
        (Step(milestones=7), "milestones"),
        (Step(every=0), "every"),
        (Step(every=1.5), "every"),
        (Step(factor=1.1), "factor"),
        (Step(factor=0), "factor"),
        (Exponential(2), "factor"),
        (Polynomial(power=0), "power"),
        (Polynomial(final=1.5), "final"),
        (Cosine(final=-0.1), "final"),
        (CosineRestarts(period=0.5), "period"),
        (CosineRestarts(multiplier=0.5), "multiplier"),
        (OneCycle(max_rate=0), "max_rate"),
        (OneCycle(max_rate="high"), "max_rate"),
        (OneCycle(start_factor=0.5), "start_factor"),
        (OneCycle(warm_up=1.1), "warm_up"),
        (OneCycle(anneal="cosine"), "anneal"),
        (WarmUp("no such"), "schedule"),
        (WarmUp(Step), "schedule"),
        (WarmUp(None), "schedule"),
        (WarmUp(share=2), "share"),
        (WarmUp(epochs=-1), "epochs"),
        (WarmUp(epochs=0), None),
        (WarmUp(Step(factor=7)), "factor"),
        (WarmUp(WarmUp(Step(every=True))), "every"),
        (ReduceOnPlateau(factor=1), "factor"),
        (ReduceOnPlateau(patience=-1), "patience"),
        (ReduceOnPlateau(patience=1.5), "patience"),
        (ReduceOnPlateau(min_rate=-1), "min_rate"),
    ],
    ids=repr,
)
def test_checks(schedule, name):
    if name is None:
        schedule.check()
    else:
        with pytest.raises(ValueError, match=rf"'{name}' parameter of .* must be .*Got"):
            schedule.check()
        net = BackpropRegressor(learning_rate=schedule)
        with pytest.raises(ValueError, match=name):
            net.fit([[0.0], [1.0]], [0, 1])


def test_an_own_schedule_inside_a_warm_up():
    class Saw(Schedule):
        def __call__(self, progress, initial):
            return initial / (1 + progress.updates % 3)

    got = rates(WarmUp(Saw(), epochs=1), 12)
    expected = [1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1, 1 / 2, 1 / 3, 1, 1 / 2, 1 / 3, 1]
    np.testing.assert_allclose(got / INITIAL, expected, rtol=1e-12)


# ------------------------------------------------------------ estimators


@pytest.mark.parametrize("solver", ["sgd", "adam", "lazy_adam"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_names_of_an_estimator(solver, name):
    net = BackpropRegressor(solver=solver, learning_rate=name, power_t=0.7)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        schedule = Plan.of(net).optimization.schedule
    assert len(caught) == (solver != "sgd" and name in ("invscaling", "adaptive"))
    if solver != "sgd" and name in ("constant", "invscaling", "adaptive"):
        assert type(schedule) is Constant  # as in scikit-learn
    else:
        assert type(schedule) is SCHEDULES[name]
    if type(schedule) is InverseScaling:
        assert schedule.power_t == 0.7


def test_the_rate_of_each_update_reaches_the_optimizer():
    class Spy(SGD):
        def penalized_step(self, params, grads, state, lr, t, strength, decay=1.0):
            seen[t] = lr
            return super().penalized_step(params, grads, state, lr, t, strength, decay)

    seen = {}
    X = np.random.default_rng(0).normal(size=(50, 2))
    net = BackpropRegressor(
        (), solver=Spy(), learning_rate=Cosine(), learning_rate_init=0.01, batch_size=20,
        random_state=0, max_iter=4,
    )  # fmt: skip
    net.fit(X, X[:, 0])
    expected = rates(Cosine(), 12, initial=0.01, total=12, per_epoch=3)
    np.testing.assert_allclose([seen[t] for t in range(1, 13)], expected, rtol=1e-12)


def test_progress():
    assert Progress().share == 0
    assert at(30).share == 0.25
    assert at(500).share == 1
    assert at(30).updates_per_epoch == PER_EPOCH
    assert Progress(total_updates=3, max_epochs=10).updates_per_epoch == 1
    # a part of a training, whose epochs are no whole number: the ratio is rounded, not cut
    for per_epoch in range(1, 50):
        for total in (1, 10, 101, 333):
            progress = Progress(total_updates=total, max_epochs=total / per_epoch)
            assert progress.updates_per_epoch == per_epoch
    assert math.isclose(Progress(updates=1, total_updates=3).share, 1 / 3)


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle", "polynomial", WarmUp("cosine")])
def test_to_reach_the_end_is_the_plan_of_those_that_end_with_training(schedule):
    X, y = np.arange(12.0).reshape(6, 2), np.arange(6.0)
    net = BackpropRegressor((2,), learning_rate=schedule, max_iter=5, random_state=0)
    assert net.fit(X, y).n_iter_ == 5  # warnings are errors here


@pytest.mark.parametrize("schedule", ["constant", "step", "warm_up", "cosine_restarts"])
def test_others_warn_at_the_end(schedule):
    X, y = np.arange(12.0).reshape(6, 2), np.arange(6.0)
    net = BackpropRegressor((2,), learning_rate=schedule, max_iter=5, random_state=0)
    with pytest.warns(ConvergenceWarning, match="Maximum iterations"):
        net.fit(X, y)


@pytest.mark.parametrize("patience", [None, 3])
@pytest.mark.parametrize("n_iter_no_change", [10, np.inf, 5])
def test_a_patience_beside_that_of_the_schedule_is_told(patience, n_iter_no_change):
    net = BackpropRegressor((3,), learning_rate=ReduceOnPlateau(0.5, patience), max_iter=2,
                            n_iter_no_change=n_iter_no_change)  # fmt: skip
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        net.fit(np.arange(20.0)[:, None], np.arange(20.0))
    told = [one for one in caught if "n_iter_no_change=5 is not used" in str(one.message)]
    assert len(told) == (1 if n_iter_no_change == 5 and patience is not None else 0)
