"""Inspection: summaries, loss curves, and the learning rate range test."""

import pickle
import sys
import warnings
from dataclasses import replace
from types import SimpleNamespace

import joblib
import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

import skbp.inspection
from skbp import BackpropClassifier, BackpropRegressor
from skbp.activations import Tanh
from skbp.estimators._plan import Plan
from skbp.inspection import (
    LossCurveDisplay,
    LRRangeDisplay,
    LRRangeResult,
    lr_range_test,
    summary,
)
from skbp.inspection._lr_range import _until_too_much
from skbp.layers import Layer

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 5))
LABELS = np.array(["a", "b", "c"])[(X[:, 0] > 0).astype(int) + (X[:, 1] > 0)]
NUMBERS = X @ RNG.normal(size=(5, 2)) + 0.1 * RNG.normal(size=(90, 2))


def fit(estimator, X=X, y=LABELS, **params):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(X, y, **params)


def classifier(**params):
    return BackpropClassifier(
        (8,), **{"max_iter": 5, "random_state": 0, "batch_size": 20, **params}
    )


def regressor(**params):
    return BackpropRegressor((8,), **{"max_iter": 5, "random_state": 0, "batch_size": 20, **params})


def test_public_names():
    for name in skbp.inspection.__all__:
        assert getattr(skbp.inspection, name).__doc__


# ------------------------------------------------------------ summary


def test_summary():
    net = fit(BackpropClassifier((8, 4), Tanh(), dropout=0.2, max_iter=2, dtype="float32"))
    table = summary(net)
    assert [(row.name, row.activation, row.output_shape) for row in table.rows] == [
        ("Dense", "tanh", (8,)), ("Dropout", "", (8,)), ("Dense", "tanh", (4,)),
        ("Dropout", "", (4,)), ("Dense", "softmax", (3,)),
    ]  # fmt: skip
    assert [row.n_params for row in table.rows] == [48, 0, 36, 0, 15]
    assert table.n_params == net._network.params.size
    assert table.n_bytes == net._network.params.nbytes
    assert (table.n_state, table.input_shape, table.dtype) == (0, (5,), np.float32)
    assert repr(table) == str(table)
    lines = str(table).splitlines()
    assert len(lines) == 1 + 1 + 1 + 5 + 1 + 1
    assert max(map(len, lines)) == len(lines[1])
    assert lines[-1].split() == ["Total", "float32", "99", "396"]
    assert table._repr_html_().count("<tr>") == 1 + 1 + 5 + 1


def test_summary_of_large_networks_groups_digits():
    net = fit(BackpropRegressor((3000,), solver="sgd", max_iter=1), y=X[:, 0])
    assert "18,000" in str(summary(net))


def test_summary_finds_the_network_inside():
    pipeline = make_pipeline(StandardScaler(), classifier())
    search = GridSearchCV(pipeline, {"backpropclassifier__alpha": [0.1, 1.0]}, cv=2)
    for estimator in (fit(pipeline), fit(search)):
        assert summary(estimator).n_params == 48 + 27


@pytest.mark.parametrize("searched", [False, True])
def test_the_network_of_a_transformed_target_is_found(searched, plt):
    model = TransformedTargetRegressor(make_pipeline(StandardScaler(), regressor(max_iter=2)))
    if searched:
        model = GridSearchCV(model, {"check_inverse": [True]}, cv=2)
    fit(model, y=NUMBERS)
    inner = (model.best_estimator_ if searched else model).regressor_[-1]
    assert summary(model).n_params == 48 + 18
    display = LossCurveDisplay.from_estimator(model)
    np.testing.assert_array_equal(display.line_.get_ydata(), inner.loss_curve_)


def test_summary_counts_state_apart():
    class Counting(Layer):
        def param_shapes(self, input_shape):
            return {"scale": input_shape}

        def state_shapes(self, input_shape):
            return {"mean": input_shape, "count": (1,)}

    net = fit(classifier())
    net._network = SimpleNamespace(
        layers=[Counting()], input_shapes=[(5,)], input_shape=(5,), params=np.zeros(5)
    )
    (row,) = summary(net).rows
    assert (row.n_params, row.n_state, row.n_bytes) == (5, 6, 88)


@pytest.mark.parametrize("function", [summary, LossCurveDisplay.from_estimator])
def test_what_cannot_be_inspected(function):
    for estimator in (
        classifier(), make_pipeline(StandardScaler(), classifier()),
        GridSearchCV(classifier(), {"alpha": [1.0]}), TransformedTargetRegressor(regressor()),
    ):  # fmt: skip
        with pytest.raises(NotFittedError):
            function(estimator)
    with pytest.raises(TypeError, match=r"BackpropRegressor.*Got DummyClassifier\(\)"):
        function(fit(DummyClassifier()))


# ------------------------------------------------------------ loss curves


@pytest.fixture
def plt():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


def labels_of(legend):
    return [text.get_text() for text in legend.get_texts()]


def test_loss_curve(plt):
    net = fit(classifier())
    display = LossCurveDisplay.from_estimator(net)
    np.testing.assert_array_equal(display.line_.get_xdata(), [1, 2, 3, 4, 5])
    np.testing.assert_array_equal(display.line_.get_ydata(), net.loss_curve_)
    assert display.figure_ is display.ax_.figure
    for line in ("validation_line_", "score_line_", "train_score_line_", "best_line_", "score_ax_"):
        assert getattr(display, line) is None
    assert labels_of(display.ax_.get_legend()) == ["Training loss"]
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("Epoch", "Loss")
    display.figure_.canvas.draw()


def test_loss_curve_with_scores(plt):
    net = fit(classifier(early_stopping=True, learning_rate_init=0.03, max_iter=12))
    _, ax = plt.subplots()
    pipeline = make_pipeline(StandardScaler(with_mean=False, with_std=False), net)
    display = LossCurveDisplay.from_estimator(pipeline, ax=ax, name="mine", score_kw={"lw": 3})
    assert display.ax_ is ax
    np.testing.assert_array_equal(display.score_line_.get_ydata(), net.validation_scores_)
    assert display.score_line_.get_linewidth() == 3
    assert display.score_line_ in display.score_ax_.lines
    assert display.score_ax_.get_ylabel() == "Score"
    best = int(np.argmax(net.validation_scores_)) + 1
    assert display.best_epoch == best
    assert set(display.best_line_.get_xdata()) == {best}
    assert labels_of(display.score_ax_.get_legend()) == [
        "mine: Training loss", "mine: Validation loss", f"mine: Best epoch: {best}",
        "mine: Validation score",
    ]  # fmt: skip
    colors = {display.line_.get_color(), display.score_line_.get_color()}
    assert len(colors) == 2
    display.figure_.canvas.draw()


def test_two_networks_in_one_picture(plt):
    nets = [fit(classifier(early_stopping=True, alpha=alpha)) for alpha in (1e-4, 1.0)]
    first = LossCurveDisplay.from_estimator(nets[0], name="a")
    second = LossCurveDisplay.from_estimator(
        nets[1], ax=first.ax_, score_ax=first.score_ax_, name="b"
    )
    assert second.figure_ is first.figure_
    assert len(first.figure_.axes) == 2
    lines = [first.line_, first.score_line_, second.line_, second.score_line_]
    assert len({line.get_color() for line in lines}) == 4
    assert len(labels_of(first.score_ax_.get_legend())) == 8


def test_all_curves_of_a_history(plt):
    net = fit(classifier())
    net.history_ = {
        "loss": [3.0, 2.0, 1.0], "validation_loss": [3.0, 2.5, 2.7], "seconds": [1, 1, 1],
        "validation_score": [np.nan, 0.2, 0.4], "train_score": [0.1, 0.5, 0.9],
    }  # fmt: skip
    display = LossCurveDisplay.from_estimator(net)
    np.testing.assert_array_equal(display.line_.get_ydata(), [3, 2, 1])
    np.testing.assert_array_equal(display.validation_line_.get_ydata(), [3, 2.5, 2.7])
    np.testing.assert_array_equal(display.train_score_line_.get_ydata(), [0.1, 0.5, 0.9])
    assert display.best_epoch == 3  # of the score, which decides when to stop
    del net.history_["validation_score"]
    assert LossCurveDisplay.from_estimator(net).best_epoch == 2
    net.history_["validation_loss"] = [np.nan] * 3
    assert LossCurveDisplay.from_estimator(net).best_epoch is None


def test_plot_again(plt):
    display = LossCurveDisplay(loss=[2.0, 1.0], name="x")
    assert display.plot() is display
    first = display.ax_
    assert display.plot(name="y", loss_kw={"color": "red"}).ax_ is not first
    assert labels_of(display.ax_.get_legend()) == ["y: Training loss"]
    assert display.line_.get_color() == "red"


def test_iterations_of_lbfgs(plt):
    net = fit(classifier(solver="lbfgs"))
    assert len(LossCurveDisplay.from_estimator(net).line_.get_ydata()) == net.n_iter_


def test_without_matplotlib(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'LossCurveDisplay needs matplotlib.*"skbp\[plot\]"'):
        LossCurveDisplay(loss=[1.0]).plot()
    result = lr_range_test(classifier(), X, LABELS)  # needs none
    with pytest.raises(ImportError, match="LRRangeDisplay needs matplotlib"):
        LRRangeDisplay(result).plot()


# ------------------------------------------------------------ the learning rate range test

WEIGHT = np.where(X[:, 2] > 0.5, 0.0, 1 + (X[:, 3] > 0))


@pytest.mark.parametrize(
    "net, y, params",
    [
        (classifier(), LABELS, {}),
        (classifier(solver="sgd", dtype="float64", shuffle=False), LABELS == "a", {}),
        (classifier(class_weight="balanced", dropout=0.3), LABELS, {}),
        (classifier(), LABELS, {"sample_weight": WEIGHT}),
        (classifier(solver="lazy_adam"), LABELS, {"sparse": True}),
        (classifier(activation="tanh", batch_size="auto"), np.c_[X > 0][:, :3], {}),
        (regressor(alpha=0.5), NUMBERS, {"sparse": True}),
        (regressor(batch_size=7), NUMBERS[:, 0], {}),
    ],
    ids=range(8),
)
def test_updates_are_those_of_fit(net, y, params):
    # at the rate of fit, the losses of two epochs are fit's loss curve
    rows = csr_array(np.where(abs(X) > 1, X, 0)) if params.get("sparse") else X
    weight = params.get("sample_weight")
    n = len(X) if weight is None else np.count_nonzero(weight)
    size = min(200 if net.batch_size == "auto" else net.batch_size, n)
    sizes = np.diff([*range(0, n, size), n])
    rates = [Plan.of(net).optimization.rate] * (2 * len(sizes))
    losses = list(net._range_test(rows, y, weight, rates))
    expected = fit(net, rows, y, sample_weight=weight).loss_curve_[:2]
    got = [np.average(part, weights=sizes) for part in np.split(np.array(losses), 2)]
    np.testing.assert_allclose(got, expected, rtol=1e-12)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("net, y", [(classifier(), LABELS), (regressor(), NUMBERS)])
def test_range_test(net, y, solver):
    net.set_params(solver=solver)
    result = lr_range_test(net, X, y, min_rate=1e-7, max_rate=1e4, n_updates=200)
    n = len(result.rates)
    assert len(result.losses) == len(result.smoothed_losses) == n < 200
    np.testing.assert_allclose(result.rates, np.geomspace(1e-7, 1e4, 200)[:n])
    assert result.stopped_early
    assert np.isfinite(result.losses).all()
    assert result.losses[-10:].max() > 2 * result.smoothed_losses.min()
    assert 1e-4 < result.suggestion < 2
    assert result.suggestion < result.rates[result.smoothed_losses.argmin()]
    assert not hasattr(net, "loss_curve_")
    again = lr_range_test(net, X, y, min_rate=1e-7, max_rate=1e4, n_updates=200)
    np.testing.assert_array_equal(again.losses, result.losses)
    assert pickle.loads(pickle.dumps(result)).suggestion == result.suggestion


def test_the_suggestion_lies_in_the_fall():
    # one weight, full batch: the loss falls by the factor (1 - rate)**2 at each update
    x = np.array([[-1.0], [1.0]])
    net = BackpropRegressor(
        (), alpha=0, solver="sgd", momentum=0, initializer="zeros", dtype="float64"
    )
    result = lr_range_test(net, x, 10 * x[:, 0], max_rate=100.0, n_updates=400)
    exact = 50 * np.cumprod(np.r_[1, (1 - result.rates[:-1]) ** 2])
    np.testing.assert_allclose(result.losses[:330], exact[:330], rtol=1e-9, atol=1e-12)
    slopes = np.gradient(exact, np.log(result.rates))
    steepest = result.rates[slopes[: exact.argmin()].argmin()]
    assert result.suggestion == pytest.approx(steepest, rel=0.1)


def test_a_gentle_range_is_run_to_its_end():
    result = lr_range_test(classifier(), X, LABELS, max_rate=1e-3, n_updates=30)
    assert len(result.rates) == 30
    assert result.rates[-1] == pytest.approx(1e-3)
    assert not result.stopped_early


def test_no_suggestion_where_nothing_falls():
    net = BackpropRegressor((), initializer="zeros", alpha=0)
    result = lr_range_test(net, X, np.zeros(len(X)))
    assert result.suggestion is None


@pytest.mark.parametrize("fitted", [False, True])
def test_the_estimator_stays_as_it_is(fitted):
    net = classifier(warm_start=True, learning_rate="one_cycle")
    if fitted:
        fit(net)
    before = joblib.hash(vars(net))
    rows, labels = X.copy(), LABELS.copy()
    result = lr_range_test(net, rows, labels, sample_weight=WEIGHT)
    assert joblib.hash(vars(net)) == before
    np.testing.assert_array_equal(rows, X)
    np.testing.assert_array_equal(labels, LABELS)
    # from new weights, whatever there was
    fresh = lr_range_test(classifier(), X, LABELS, sample_weight=WEIGHT)
    np.testing.assert_array_equal(result.losses, fresh.losses)


def test_pipeline():
    inside = lr_range_test(classifier(), StandardScaler().fit_transform(X + 7), LABELS)
    pipeline = make_pipeline(StandardScaler(), classifier())
    result = lr_range_test(pipeline, X + 7, LABELS)
    np.testing.assert_array_equal(result.losses, inside.losses)
    for step in pipeline:
        with pytest.raises(NotFittedError):
            check_is_fitted(step)
    alone = lr_range_test(make_pipeline(classifier()), X, LABELS)
    np.testing.assert_array_equal(alone.losses, lr_range_test(classifier(), X, LABELS).losses)


@pytest.mark.parametrize(
    "losses, n, stopped",
    [
        ([1.0] * 50, 50, False),
        ([1.0] * 20 + [100.0] * 5, 21, True),
        ([1.0] * 20 + [4.0] * 200, 220, False),  # four times, not more
        ([1.0] * 20 + [4.1] * 200, 52, True),
        ([1.0] * 20 + [20.0] + [1.0] * 20, 41, False),  # one bad batch
        ([1.0, np.nan], 1, True),
        ([1.0, np.inf, 1.0], 1, True),
        (list(np.linspace(1, -3, 100)), 100, False),  # losses may be negative
        (list(np.linspace(-1, -2, 30)) + [9.0] * 9, 37, True),
        ([1.0] * 5 + [0.0] * 100 + [0.05] * 50, 155, False),  # next to what it was, nothing
    ],
)
def test_when_to_stop(losses, n, stopped):
    seen, early = _until_too_much(iter(losses))
    np.testing.assert_array_equal(seen, losses[:n])
    assert early is stopped


def test_bad_input():
    for params, message in (
        ({"min_rate": 0.0}, "min_rate must be a finite number above 0"),
        ({"max_rate": np.inf}, "max_rate must be a finite number above 0"),
        ({"max_rate": "high"}, "max_rate must be"),
        ({"min_rate": 1.0, "max_rate": 1.0}, "must be below max_rate"),
        ({"n_updates": 9}, "n_updates must be a whole number of at least 10"),
        ({"n_updates": 50.0}, "n_updates must be"),
        ({"sample_weight": -np.ones(90)}, "[Nn]egative"),
    ):
        with pytest.raises(ValueError, match=message):
            lr_range_test(classifier(), X, LABELS, **params)
    with pytest.raises(ValueError, match=r"solver='lbfgs' finds its own.*'adam'"):
        lr_range_test(classifier(solver="lbfgs"), X, LABELS)
    with pytest.raises(ValueError, match="'alpha' parameter"):
        lr_range_test(classifier(alpha=-1), X, LABELS)
    with pytest.raises(ValueError, match=r"not finite from the start.*scale"):
        lr_range_test(regressor(dtype="float32"), X * 1e30, NUMBERS * 1e30)
    for other in (DummyClassifier(), make_pipeline(StandardScaler(), DummyClassifier())):
        with pytest.raises(TypeError, match="expected a BackpropClassifier"):
            lr_range_test(other, X, LABELS)


def test_range_display(plt):
    net = classifier(solver="sgd")
    display = LRRangeDisplay.from_estimator(net, X, LABELS, n_updates=150, line_kw={"lw": 3})
    result = display.result
    assert isinstance(result, LRRangeResult)
    np.testing.assert_array_equal(display.line_.get_xdata(), result.rates)
    np.testing.assert_array_equal(display.line_.get_ydata(), result.smoothed_losses)
    np.testing.assert_array_equal(display.batch_line_.get_ydata(), result.losses)
    assert display.line_.get_linewidth() == 3
    assert set(display.suggestion_line_.get_xdata()) == {result.suggestion}
    ax = display.ax_
    assert (ax.get_xscale(), ax.get_xlabel(), ax.get_ylabel()) == ("log", "Learning rate", "Loss")
    assert labels_of(ax.get_legend()) == ["Smoothed loss", f"Suggestion {result.suggestion:.1e}"]
    bottom, top = ax.get_ylim()
    assert bottom < result.losses.min()  # the fall is there to see,
    assert result.smoothed_losses[0] < top < 2 * result.smoothed_losses[0]  # not the explosion
    half = replace(
        result, losses=result.losses / 2, smoothed_losses=result.smoothed_losses / 2, suggestion=0.1
    )
    assert LRRangeDisplay(half, name="half").plot(ax).ax_ is ax
    assert ax.get_ylim() == (pytest.approx(bottom / 2), top)  # room for both
    assert labels_of(ax.get_legend())[2:] == ["half", "half: suggestion 1.0e-01"]
    display.figure_.canvas.draw()


def test_range_display_without_a_suggestion(plt):
    net = BackpropRegressor((), initializer="zeros", alpha=0)
    result = lr_range_test(net, X, np.zeros(len(X)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        display = LRRangeDisplay(result).plot()
    assert display.suggestion_line_ is None
    assert labels_of(display.ax_.get_legend()) == ["Smoothed loss"]
