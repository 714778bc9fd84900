"""What training says as it goes: lines that are there at once, and can be read."""

import io
import re
import sys
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import make_scorer

from skbp import BackpropClassifier, BackpropRegressor, BackpropSequenceModel
from skbp._engine.lines import duration
from skbp.callbacks import TimeLimit

X = np.random.default_rng(0).normal(size=(80, 3))
Y = (X[:, 0] > 0).astype(int)


@pytest.mark.parametrize("seconds, text", [
    (0.0, "0 ms"), (0.0000123, "0.0123 ms"), (0.00456, "4.56 ms"), (0.0789, "78.9 ms"),
    (0.9994, "999 ms"), (0.9999, "1.0 s"), (2.04, "2.0 s"), (59.94, "59.9 s"),
    (59.96, "1 min 00 s"), (150.4, "2 min 30 s"), (957, "15 min 57 s"), (3599.4, "59 min 59 s"),
    (3599.6, "1 h 00 min"), (7384, "2 h 03 min"), (100_000, "27 h 47 min"),
])  # fmt: skip
def test_durations(seconds, text):
    assert duration(seconds) == text
    assert "e+" not in text


class Log(io.StringIO):
    """A log file: what is not flushed is not there yet."""

    unflushed = ""
    lines: list

    def write(self, text):
        self.unflushed += text
        return len(text)

    def flush(self):
        self.lines += self.unflushed.splitlines()
        self.unflushed = ""


FITS = {
    "adam": (BackpropClassifier((4,), max_iter=3), "rate ="),
    "early stopping": (BackpropClassifier((4,), max_iter=3, early_stopping=True), "validation"),
    "refit": (BackpropClassifier((4,), max_iter=3, early_stopping="refit"), "on all rows"),
    "plateau": (BackpropRegressor((4,), tol=1e6, n_iter_no_change=1), "Stopping"),
    "adaptive": (
        BackpropRegressor(
            (4,), solver="sgd", learning_rate="adaptive", tol=1e6, n_iter_no_change=1,
            learning_rate_init=0.01,
        ),
        "Setting learning rate",
    ),
    "lbfgs": (BackpropRegressor((4,), solver="lbfgs", max_iter=3), "objective ="),
    "copied": (
        BackpropClassifier((4,), max_iter=3, init_from={"dense_0.bias": np.zeros(4)}), "begins"
    ),
    "cut short": (
        BackpropClassifier((4,), batch_size=5).set_callbacks(TimeLimit(1e-9)), "ended by a callback"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FITS)
def test_each_line_is_flushed(name, monkeypatch):
    net, text = FITS[name]
    log = Log()
    log.lines = []
    monkeypatch.setattr(sys, "stdout", log)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net.set_params(verbose=True, random_state=0).fit(X, Y)
    assert log.unflushed == ""
    assert any(text in line for line in log.lines)


def numbers_wrong(y, predicted):
    return np.sum(y != predicted)


SCORES = {
    "accuracy": BackpropClassifier(),
    "r2": BackpropRegressor(),
    "d2_pinball": BackpropRegressor(loss="quantile"),
    "roc_auc": BackpropClassifier(scoring="roc_auc"),
    "numbers_wrong": BackpropClassifier(scoring=make_scorer(numbers_wrong)),
    "loss": BackpropRegressor(scoring="loss"),
}


@pytest.mark.parametrize("name", SCORES)
def test_lines_name_the_validation_score(name, capsys):
    net = clone(SCORES[name]).set_params(
        hidden_layer_sizes=(4,), early_stopping=True, tol=1e6, n_iter_no_change=1, verbose=True,
        random_state=0,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net.fit(X, Y)
    first, *_, last = capsys.readouterr().out.splitlines()
    assert last.startswith(f"Validation {name} did not improve")
    named = "" if name == "loss" else f", validation {name} = {net.validation_scores_[0]:.6g}"
    assert re.search(rf"validation loss = [\d.]+{re.escape(named)}, rate", first)


def test_each_line_of_a_sequence_model_is_flushed(monkeypatch):
    log = Log()
    log.lines = []
    monkeypatch.setattr(sys, "stdout", log)
    codes = np.tile([1, 2, 3, 4], (20, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        BackpropSequenceModel(max_iter=2, verbose=True, random_state=0).fit(codes)
    assert len(log.lines) == 2
    assert log.unflushed == ""
