"""What the engine wants of a layer: what `backward` may return."""

import numpy as np
import pytest

from skbp import BackpropClassifier
from skbp.inspection import input_gradients
from skbp.layers import ColumnBranch, Dense, Layer, Parallel, Residual, Sequential

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class Lazy(Layer):
    """A layer that has no gradient of its input unless it is wanted."""

    def __init__(self, wrong=None):
        self.wrong = wrong

    def forward(self, x, p, w, ctx):
        return 2 * x

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        if self.wrong == "none":
            return None
        if self.wrong == "shape":
            return dy.sum(axis=0)
        return 2 * dy if need_dx else None


AROUND = {
    "alone": lambda layer: layer,
    "first in a chain": lambda layer: Sequential([layer, Dense(3)]),
    "in a shortcut": lambda layer: Residual([layer, Dense(4)]),
    "in branches": lambda layer: Parallel([layer, Dense(4)]),
    "a product": lambda layer: Parallel([layer, Dense(4)], join="product"),
    "for columns": lambda layer: ColumnBranch([([0, 2], layer), ([1], Dense(2))]),
    "chain in branches": lambda layer: Parallel([[layer, Dense(3)], [Dense(2), Dense(3)]]),
}
ROWS = np.random.default_rng(0).normal(size=(60, 4))
LABELS = (ROWS[:, 0] > 0).astype(int)


@pytest.mark.parametrize("around", AROUND)
def test_a_first_layer_may_return_none(around):
    nets = [
        BackpropClassifier(
            layers=[AROUND[around](layer), Dense(3)], max_iter=5, dtype="float64", random_state=0
        ).fit(ROWS, LABELS)
        for layer in (Lazy(), Lazy("none"))
    ]
    np.testing.assert_array_equal(nets[0].predict_proba(ROWS), nets[1].predict_proba(ROWS))
    assert np.isfinite(input_gradients(nets[0], ROWS)).all()


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("wrong, error", [("none", TypeError), ("shape", ValueError)])
def test_what_is_wanted_and_missing_is_said(around, wrong, error):
    layers = [Dense(4), AROUND[around](Lazy(wrong)), Dense(3)]
    message = {"none": r"Lazy.*backward returned None.*need_dx", "shape": r"Lazy.*has the input's"}
    with pytest.raises(error, match=message[wrong]):
        BackpropClassifier(layers=layers, max_iter=2).fit(ROWS, LABELS)


def test_attributions_want_the_gradient_of_the_first_layer():
    net = BackpropClassifier(layers=[Lazy("none"), Dense(3)], max_iter=2).fit(ROWS, LABELS)
    with pytest.raises(TypeError, match=r"Lazy.*must return"):  # it was NaN without a word
        input_gradients(net, ROWS)
