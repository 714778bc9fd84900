"""Files of earlier releases load for ever, and predict what they did: goldens/make_models.py."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import skbp
from skbp.callbacks import Checkpoint

SCRIPT = Path(__file__).parent / "goldens" / "make_models.py"
FOLDER = SCRIPT.parent / "models"
FILES = sorted(FOLDER.glob("*.skbp"))
CHECKPOINTS = sorted(FOLDER.glob("checkpoint-*.npz"))

spec = importlib.util.spec_from_file_location("make_models", SCRIPT)
assert spec is not None
assert spec.loader is not None
goldens = importlib.util.module_from_spec(spec)
spec.loader.exec_module(goldens)


def predicted(path, name):
    """Return what the release predicted whose file it is."""
    version = path.stem.rpartition("-")[2] if path.suffix == ".npz" else path.stem.split("-")[1]
    return np.load(FOLDER / f"predictions-{version}.npz")[name]


# What other versions of scikit-learn and skops say of its parts is theirs.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.InconsistentVersionWarning")
@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_of_an_earlier_release(path, mmap):
    name = path.stem.split("-")[0]
    model = skbp.load(path, mmap=mmap)
    # Within rounding: products of other processors differ.
    np.testing.assert_allclose(
        goldens.told(name, model), predicted(path, name), rtol=2e-4, atol=1e-5
    )


@pytest.mark.parametrize("path", CHECKPOINTS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_training_goes_on_from_a_checkpoint_of_an_earlier_release(path, tmp_path):
    net = goldens.with_checkpoints(Checkpoint(tmp_path, resume=path))
    assert net.n_iter_ == 4
    np.testing.assert_allclose(
        net.predict_proba(goldens.X), predicted(path, "checkpoint"), rtol=1e-5, atol=1e-7
    )


def test_each_kind_has_a_small_file():
    assert {path.stem.split("-")[0] for path in FILES} == set(goldens.MODELS)
    assert CHECKPOINTS
    assert all(path.stat().st_size < 30_000 for path in FOLDER.iterdir())


def test_training_goes_on_from_a_file_with_its_optimizer():
    net = skbp.load(FOLDER / "classifier-0.1.skbp")
    assert net._history.optimizer.steps == 3
    net.partial_fit(goldens.X, goldens.WORDS)
    assert net._history.optimizer.steps == 4
