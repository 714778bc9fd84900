"""What others make of the MLPs of `to_mlp`: C code by emlearn, models by skl2onnx."""

import subprocess
import sysconfig

import numpy as np
import pytest
from _common import each
from _onnx import onnxruntime
from sklearn.datasets import load_diabetes, load_iris
from sklearn.preprocessing import scale

from skbp import BackpropClassifier, BackpropRegressor
from skbp.losses import Poisson

with np.errstate():  # which emlearn changes for good, else
    emlearn = pytest.importorskip("emlearn", reason="needs skbp[test]")
skl2onnx = pytest.importorskip("skl2onnx", reason="needs skbp[test]")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

IRIS, SPECIES = load_iris(return_X_y=True)
IRIS = scale(IRIS)
DIABETES, PROGRESS = load_diabetes(return_X_y=True)
DIABETES, PROGRESS = scale(DIABETES), PROGRESS / 100
NAMES = np.array(["setosa", "versicolor", "virginica"])
LABELS = {
    "strings": NAMES[SPECIES],
    "two strings": NAMES[np.minimum(SPECIES, 1)],
    "floats": SPECIES - 0.0,
    "multilabel": np.column_stack([SPECIES > 0, SPECIES < 2, SPECIES == 1]).astype(int),
}
NUMBERS = {"two": np.column_stack([PROGRESS, DIABETES[:, 0]])}


def trained(kind, X, y, *args, **params):
    params = {"max_iter": 4, "batch_size": 32, "random_state": 0, **params}
    return kind(*args, **params).fit(X, y)


@pytest.mark.parametrize("name", ["strings", "two strings", "floats", "multilabel"])
def test_skl2onnx_takes_it(name):
    net = trained(BackpropClassifier, IRIS, LABELS[name], (6,))
    X = IRIS.astype(np.float32)
    options = {"zipmap": False}
    model = skl2onnx.to_onnx(net.to_mlp(), X[:1], options=options, target_opset=18)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    labels, probabilities = session.run(None, {"X": X})
    np.testing.assert_array_equal(labels, net.predict(X))
    np.testing.assert_allclose(probabilities, net.predict_proba(X), atol=1e-5)


MAIN = """
#include <stdio.h>
#include "net.h"

int main(void) {
    float row[%(n_features)d], out[%(n_outputs)d];
    for (;;) {
        for (int i = 0; i < %(n_features)d; i++) if (scanf("%%f", &row[i]) != 1) return 0;
        if (net_regress(row, %(n_features)d, out, %(n_outputs)d) != EmlOk) return 1;
        printf("%%d", (int)net_predict(row, %(n_features)d));
        for (int i = 0; i < %(n_outputs)d; i++) printf(" %%.9g", out[i]);
        printf("\\n");
    }
}
"""


def run_in_c(mlp, X, folder):
    """Compile what emlearn makes of an MLP; return, by row, its class's number and its outputs."""
    emlearn.convert(mlp, method="loadable").save(file=str(folder / "net.h"), name="net")
    sizes = {"n_features": X.shape[1], "n_outputs": mlp.n_outputs_}
    (folder / "main.c").write_text(MAIN % sizes)
    compiler = sysconfig.get_config_var("CC").split()[0]
    subprocess.run(
        [compiler, "-O1", "-I", emlearn.includedir, "main.c", "-o", "net", "-lm"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    rows = "\n".join(" ".join(f"{value:.9g}" for value in row) for row in X)
    done = subprocess.run([folder / "net"], input=rows, text=True, capture_output=True, check=True)
    found = np.array([line.split() for line in done.stdout.splitlines()], float)
    return found[:, 0].astype(int), found[:, 1:]


@each(name=["strings", "two strings"], activation=["relu", "tanh", "logistic"])
def test_its_c_code_predicts_the_same(name, activation, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where emlearn compiles, too
    y = LABELS[name]
    net = trained(BackpropClassifier, IRIS, y, (8, 6), activation, learning_rate_init=0.02)
    codes, outputs = run_in_c(net.to_mlp(), IRIS, tmp_path)
    np.testing.assert_array_equal(net.classes_[codes], net.predict(IRIS))
    expected = net.predict_proba(IRIS)[:, -outputs.shape[1] :]
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_the_c_code_of_a_normalised_regressor(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    y = NUMBERS["two"]
    net = trained(BackpropRegressor, DIABETES, y, (8,), normalization="batch", dropout=0.1)
    _, outputs = run_in_c(net.to_mlp(), DIABETES, tmp_path)
    np.testing.assert_allclose(outputs, net.predict(DIABETES), atol=1e-5)


def test_poisson_has_no_c_code():
    """What emlearn lacks is its own error, not other numbers."""
    net = trained(BackpropRegressor, DIABETES, PROGRESS, (8,), loss=Poisson())
    with pytest.raises(ValueError, match="Unsupported activation 'exp'"):
        emlearn.convert(net.to_mlp(), method="loadable")
