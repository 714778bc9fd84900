"""Outputs of held-out rows that had no say in which epoch is taken."""

import numpy as np
import pytest

from skbp._engine.unseen import ChosenByOthers


@pytest.mark.parametrize("weighted", [False, True])
def test_each_row_has_the_epoch_that_the_others_choose(weighted):
    rng = np.random.default_rng(0)
    losses, raw = rng.random((7, 5)), rng.normal(size=(7, 5, 2))
    weight = rng.uniform(0.5, 2, 5) if weighted else None
    unseen = ChosenByOthers.of(5, 2, np.float64)
    for one, outputs in zip(losses, raw, strict=True):
        unseen.note(one, weight, outputs)
    for row in range(5):
        others = np.delete(losses if weight is None else losses * weight, row, axis=1).sum(axis=1)
        np.testing.assert_array_equal(unseen.raw[row], raw[others.argmin(), row])
        assert unseen.least[row] == pytest.approx(others.min())
    chosen = losses.sum(axis=1).argmin()
    assert (unseen.raw != raw[chosen]).any()  # it does make a difference


def test_epochs_that_are_not_finite_are_nobody_s_choice():
    unseen = ChosenByOthers.of(3, 1, np.float32)
    unseen.note(np.array([1.0, np.nan, 1.0]), None, np.ones((3, 1), np.float32))
    assert np.isnan(unseen.raw).all()
    unseen.note(np.array([2.0, 2.0, 2.0]), None, np.full((3, 1), 5, np.float32))
    assert (unseen.raw == 5).all()


def test_arrays_are_copies():
    unseen = ChosenByOthers.of(2, 1, np.float64)
    least, raw = unseen.arrays()
    unseen.note(np.ones(2), None, np.zeros((2, 1)))
    assert np.isinf(least).all() and np.isnan(raw).all()
