"""Images changed at random, in training alone."""

import pickle
import tracemalloc

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits

from skbp import BackpropClassifier
from skbp._engine.network import Network
from skbp._engine.workspace import Workspace
from skbp.inspection import input_gradients
from skbp.layers import (
    Conv2D,
    Flatten,
    GaussianNoise,
    Input,
    MaxPool2D,
    RandomErasing,
    RandomFlip,
    RandomShift,
)
from skbp.schedules import Progress, Scheduled

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SHAPE = (2, 7, 9)
IMAGES = np.random.default_rng(0).normal(size=(400, *SHAPE)) + 5  # no value is 0
IMAGES.flags.writeable = False
AUGMENTATIONS = [RandomFlip("both"), RandomShift((2, 3), fill=-1.0), RandomErasing(0.7)]


def passes(layer, x=IMAGES, seed=0, progress=None):
    """Return what a layer makes of images in training, and of a gradient; copies."""
    network = Network([layer], x.shape[1:], x.dtype)
    workspace = Workspace(network, len(x))
    y = network.forward(x, workspace, np.random.default_rng(seed), progress).copy()
    dy = np.random.default_rng(1).normal(size=x.shape).astype(x.dtype)
    return y, dy, network.backward(dy.copy(), workspace, need_dx=True).copy()


# ------------------------------------------------------------ what they do


@pytest.mark.parametrize("axis", ["horizontal", "vertical", "both"])
@pytest.mark.parametrize("rate", [0.2, 0.5, 1.0])
def test_flip(axis, rate):
    y, dy, dx = passes(RandomFlip(axis, rate))
    turned = {(v, h): IMAGES[:, :, :: 1 - 2 * v, :: 1 - 2 * h] for v in (0, 1) for h in (0, 1)}
    found = {key: (y == image).all(axis=(1, 2, 3)) for key, image in turned.items()}
    np.testing.assert_array_equal(sum(found.values()), 1)  # each is one of the four
    share = {
        "horizontal": {(0, 1): rate, (1, 0): 0, (1, 1): 0},
        "vertical": {(0, 1): 0, (1, 0): rate, (1, 1): 0},
        "both": {(0, 1): rate * (1 - rate), (1, 0): rate * (1 - rate), (1, 1): rate**2},
    }[axis]
    for key, expected in share.items():
        margin = 5 * np.sqrt(expected * (1 - expected) / len(IMAGES))
        assert abs(found[key].mean() - expected) <= margin
    for (v, h), rows in found.items():
        np.testing.assert_array_equal(dx[rows], dy[rows][:, :, :: 1 - 2 * v, :: 1 - 2 * h])


@pytest.mark.parametrize("size", [1, (0, 3), (2, 0), (6, 8)])
def test_shift(size):
    y, dy, dx = passes(RandomShift(size, fill=-1.0))
    most = (size, size) if isinstance(size, int) else size
    padded = np.pad(
        IMAGES, ((0, 0), (0, 0), (most[0],) * 2, (most[1],) * 2), constant_values=-1
    )  # as a crop of the padded image
    seen = set()
    for i in range(len(y)):
        corners = [
            (top, left)
            for top in range(2 * most[0] + 1)
            for left in range(2 * most[1] + 1)
            if (padded[i, :, top : top + 7, left : left + 9] == y[i]).all()
        ]
        ((top, left),) = corners
        seen.add((top, left))
        back = np.pad(dy[i], ((0, 0), (most[0],) * 2, (most[1],) * 2))
        top, left = 2 * most[0] - top, 2 * most[1] - left
        np.testing.assert_array_equal(dx[i], back[:, top : top + 7, left : left + 9])
    tops, lefts = ({place[axis] for place in seen} for axis in (0, 1))
    assert tops == set(range(2 * most[0] + 1))
    assert lefts == set(range(2 * most[1] + 1))


@pytest.mark.parametrize("rate, area, ratio", [
    (0.5, (0.02, 0.33), 0.3), (1.0, (0.3, 0.3), 1.0), (0.8, (0.9, 1), 0.1), (1, (1e-6, 1e-6), 1)
])  # fmt: skip
def test_erasing(rate, area, ratio):
    y, dy, dx = passes(RandomErasing(rate, area, ratio, fill=0.0))
    covered = y == 0
    np.testing.assert_array_equal(y[~covered], IMAGES[~covered])
    np.testing.assert_array_equal(covered[:, 0], covered[:, 1])  # all channels alike
    np.testing.assert_array_equal(dx, np.where(covered, 0, dy))
    some = covered.any(axis=(1, 2, 3))
    assert abs(some.mean() - rate) <= 5 * np.sqrt(rate * (1 - rate) / len(y))
    rows, columns = covered[some, 0].any(axis=2), covered[some, 0].any(axis=1)
    height, width = rows.sum(axis=1), columns.sum(axis=1)
    np.testing.assert_array_equal(covered[some, 0].sum(axis=(1, 2)), height * width)  # rectangles
    assert (height * width).min() >= 1
    exact = (area[0] + area[1]) / 2 * 63
    if ratio == 1:  # a square, as far as pixels allow
        np.testing.assert_array_equal(height, max(1, round(np.sqrt(exact))))
        np.testing.assert_array_equal(width, height)
    elif area[1] < 0.5:
        assert abs((height * width).mean() - exact) < 2
    # Each place at which the rectangle fits comes up.
    if rate == 1 and area[0] < 0.5:
        assert {(r.argmax(), c.argmax()) for r, c in zip(rows, columns, strict=True)} == {
            (top, left) for top in range(8 - height[0]) for left in range(10 - width[0])
        }


# ------------------------------------------------------------ what all have in common


@pytest.mark.parametrize("layer", AUGMENTATIONS, ids=repr)
def test_inference_changes_nothing(layer):
    network = Network([layer], SHAPE, np.float64)
    workspace = Workspace(network, 400)
    network.forward(IMAGES, workspace, np.random.default_rng(0))
    assert network.forward(IMAGES, workspace) is IMAGES
    dy = np.ones_like(IMAGES)
    np.testing.assert_array_equal(network.backward(dy, workspace, need_dx=True), 1)
    assert Workspace(network, 4, training=False).rows(4)[0] == {}
    assert network.stochastic


@pytest.mark.parametrize("layer", AUGMENTATIONS, ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_backward_is_the_adjoint(layer, dtype):
    # The map is affine: <dy, f(x) - f(0)> = <backward(dy), x>.
    x = IMAGES.astype(dtype)
    y, dy, dx = passes(layer, x)
    zero, *_ = passes(layer, np.zeros_like(x))
    assert y.dtype == dx.dtype == dtype
    for i in range(0, 400, 40):
        left, right = (dy[i] * (y[i] - zero[i])).sum(), (dx[i] * x[i]).sum()
        assert left == pytest.approx(right, rel=1e-4 if dtype == np.float32 else 1e-10)
    assert (y != x).any(axis=(1, 2, 3)).mean() > 0.5


@pytest.mark.parametrize("layer", AUGMENTATIONS, ids=repr)
def test_draws_of_an_image_depend_on_its_place_alone(layer):
    y, *_ = passes(layer)
    few, *_ = passes(layer, IMAGES[:37])
    np.testing.assert_array_equal(few, y[:37])
    np.testing.assert_array_equal(passes(layer)[0], y)
    assert (passes(layer, seed=1)[0] != y).any()
    single, *_ = passes(layer, IMAGES.astype(np.float32))
    np.testing.assert_array_equal(single, y.astype(np.float32))  # float32 has the same draws


@pytest.mark.parametrize("layer", AUGMENTATIONS, ids=repr)
def test_any_memory_order(layer):
    y, *_ = passes(layer)
    for order in ((2, 1, 3, 0), (0, 2, 3, 1)):
        x = np.ascontiguousarray(IMAGES.transpose(order)).transpose(np.argsort(order))
        other, *_ = passes(layer, x)
        np.testing.assert_array_equal(other, y)


@pytest.mark.parametrize("layer", AUGMENTATIONS, ids=repr)
def test_a_batch_allocates_nothing_of_its_own_size(layer):
    network = Network([layer], (3, 64, 64), np.float32)
    workspace, rng = Workspace(network, 64), np.random.default_rng(0)
    x = np.ones((64, 3, 64, 64), np.float32)
    tracemalloc.start()
    try:
        network.forward(x, workspace, rng)
        network.backward(x.copy(), workspace, need_dx=True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.1 * x.nbytes  # of which x.copy() is one


@pytest.mark.parametrize("build", [lambda rate: RandomFlip(rate=rate), RandomErasing])
def test_rates_that_fall(build):
    layer = build(Scheduled("polynomial", 1.0))
    for updates, share in ((0, 1.0), (5, 0.5), (10, 0.0)):
        y, dy, dx = passes(layer, progress=Progress(updates=updates, total_updates=10))
        assert (y != IMAGES).any(axis=(1, 2, 3)).mean() == pytest.approx(share, abs=0.1)
    np.testing.assert_array_equal(dx, dy)


def test_a_shift_of_nothing():
    y, dy, dx = passes(RandomShift(0))
    np.testing.assert_array_equal(y, IMAGES)
    np.testing.assert_array_equal(dx, dy)


@pytest.mark.parametrize("layer, shape, message", [
    (RandomFlip(), (63,), r"RandomFlip got rows of shape \(63,\) and needs images.*Input"),
    (RandomErasing(), (7, 9), r"RandomErasing got rows of shape \(7, 9\)"),
    (RandomShift(2), (4,), "RandomShift got rows"),
    (RandomShift(7), SHAPE, "size=7.*7 x 9"),
    (RandomShift((0, 9)), SHAPE, "out of sight"),
])  # fmt: skip
def test_shapes_that_do_not_fit(layer, shape, message):
    with pytest.raises(ValueError, match=message):
        Network([layer], shape, np.float64)


@pytest.mark.parametrize("layer, message", [
    (RandomFlip("diagonal"), "'axis'.*'horizontal' or 'vertical' or 'both'"),
    (RandomFlip(rate=1.5), "'rate'"),
    (RandomErasing(-0.1), "'rate'"),
    (RandomErasing(area=0.3), "'area'.*a pair of numbers"),
    (RandomErasing(area=(0.5, 0.1)), "'area'"),
    (RandomErasing(area=(0, 0.1)), "'area'"),
    (RandomErasing(ratio=2), "'ratio'"),
    (RandomErasing(fill=np.nan), "'fill'"),
    (RandomShift(-1), "'size'"),
    (RandomShift(1.5), "'size'"),
    (RandomShift((1, 2, 3)), "'size'"),
    (RandomShift(1, fill="edge"), "'fill'"),
])  # fmt: skip
def test_what_parameters_may_be(layer, message):
    X = np.zeros((4, 1, 5, 5))
    with pytest.raises(ValueError, match=message):
        BackpropClassifier(layers=[layer, Conv2D(2, 3)]).fit(X, [0, 1, 0, 1])


# ------------------------------------------------------------ in a fit

X, Y = load_digits(return_X_y=True)
X = X / 16


def digits(*augmentations, **params):
    settings = {"batch_size": 32, "max_iter": 3, "learning_rate_init": 0.005, "random_state": 0}
    return BackpropClassifier(
        layers=[Input((1, 8, 8)), *augmentations, Conv2D(8, 3), MaxPool2D(2), Flatten()],
        **{**settings, **params},
    )


@pytest.mark.parametrize("params", [
    {}, {"early_stopping": True}, {"dtype": "float64"}, {"solver": "sgd", "learning_rate_init": 0.1}
], ids=str)  # fmt: skip
def test_a_fit_with_all_of_them(params):
    kept = X.copy()
    net = digits(RandomShift(1), RandomFlip(rate=0.1), RandomErasing(0.3), GaussianNoise(0.1))
    net = net.set_params(**params).fit(X[:600], Y[:600])
    np.testing.assert_array_equal(X, kept)
    assert net.score(X[600:], Y[600:]) > 0.6
    proba = net.predict_proba(X)
    np.testing.assert_array_equal(net.predict_proba(X), proba)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(net)).predict_proba(X), proba)
    np.testing.assert_array_equal(clone(net).fit(X[:600], Y[:600]).predict_proba(X), proba)
    net.partial_fit(X[600:700], Y[600:700])


def test_training_goes_on_without_them():
    net = digits(RandomShift(1), RandomErasing(), max_iter=6).fit(X[:300], Y[:300])
    proba = net.predict_proba(X)
    plain = digits().layers
    net.set_params(layers=plain, warm_start=True, learning_rate_init=1e-12)
    np.testing.assert_allclose(net.fit(X[:300], Y[:300]).predict_proba(X), proba, atol=1e-4)
    named = digits(RandomFlip()).layers
    named[2].set_params(name="conv")
    first = digits().set_params(layers=named).fit(X[:300], Y[:300])
    second = digits(init_from=first.weights_).set_params(layers=[named[0], *named[2:]])
    assert second.fit(X[:300], Y[:300]).copied_layers_ == {"conv": True, "output": True}


def test_shifts_make_a_network_bear_shifts():
    moved = np.roll(X[1000:].reshape(-1, 8, 8), 1, axis=2).reshape(-1, 64)
    scores = [
        digits(*layers, max_iter=12, learning_rate="one_cycle", learning_rate_init=0.02)
        .fit(X[:1000], Y[:1000])
        .score(moved, Y[1000:])
        for layers in ([], [RandomShift(1)])
    ]
    assert scores[1] > scores[0] + 0.05


def test_lbfgs_refuses_them():
    with pytest.raises(ValueError, match=r"RandomShift.*stochastic solver.*random changes"):
        digits(RandomShift(1), solver="lbfgs").fit(X[:50], Y[:50])


@pytest.mark.parametrize("layer", AUGMENTATIONS, ids=repr)
def test_attributions_pass(layer):
    images = IMAGES[:40]
    labels = np.arange(40) % 2
    net = BackpropClassifier(
        layers=[layer, Conv2D(3, 3)], max_iter=2, dtype="float64", random_state=0
    )
    gradients = input_gradients(net.fit(images, labels), images)
    assert gradients.shape == images.shape
    assert np.isfinite(gradients).all()
    assert abs(gradients).max() > 0
