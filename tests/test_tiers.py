"""The choice between NumPy and numba kernels."""

import os
import subprocess
import sys

import pytest

from skbp import _kernels as kernels


def run(code, **env):
    """Run Python code in a fresh process; returns what it printed, stripped."""
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **env}, capture_output=True, text=True,
    )  # fmt: skip
    return (done.stdout + done.stderr).strip()


def test_the_environment_decides(monkeypatch):
    monkeypatch.setenv("SKBP_KERNELS", "numpy")
    assert kernels.chosen_tier() == "numpy"
    monkeypatch.setenv("SKBP_KERNELS", "fortran")
    with pytest.raises(ValueError, match="'fortran'"):
        kernels.chosen_tier()


def test_numba_is_used_if_it_is_there(monkeypatch):
    monkeypatch.delenv("SKBP_KERNELS", raising=False)
    monkeypatch.setattr(kernels, "find_spec", lambda name: object())
    assert kernels.chosen_tier() == "numba"
    monkeypatch.setattr(kernels, "find_spec", lambda name: None)
    assert kernels.chosen_tier() == "numpy"
    monkeypatch.setenv("SKBP_KERNELS", "numba")
    with pytest.raises(ImportError, match="pip install"):
        kernels.chosen_tier()


def test_an_import_neither_loads_nor_compiles():
    out = run("import sys, skbp; print('numba' in sys.modules)", SKBP_KERNELS="")
    assert out == "False"


FIT = """
import numpy as np
from skbp import BackpropClassifier
X = np.arange(40.0).reshape(20, 2) / 40
print(BackpropClassifier((3,), tol=1e9, random_state=0).fit(X, X[:, 0] > 0.5).loss_)
"""


def test_both_tiers_train_the_same_network(capsys):
    pytest.importorskip("numba")
    exec(FIT, {})
    here = float(capsys.readouterr().out)
    other = {"numpy": "numba", "numba": "numpy"}[kernels.chosen_tier()]
    printed, *announced = run(FIT, SKBP_KERNELS=other).splitlines()
    assert all(line.startswith("skbp compiles its kernels") for line in announced)
    assert float(printed) == pytest.approx(here, rel=1e-12)


def test_without_a_place_for_the_cache_it_compiles_again(monkeypatch):
    numba = pytest.importorskip("numba")
    from skbp._kernels import numba_kernels

    njit, asked = numba.njit, []

    def nowhere_to_write(*args, cache=False, **options):
        asked.append(cache)
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(*args, **options)

    monkeypatch.setattr(numba, "njit", nowhere_to_write)
    assert numba_kernels.compiled(lambda x: x + 1)(1) == 2
    assert asked[:2] == [True, False]  # numba compiles helpers of its own after that


ONE_KERNEL = """
import numpy as np
from skbp import _kernels as kernels
sums = np.empty(2)
kernels.column_sums(np.ones((2, 2)), sums)
print(sums)
"""


def test_a_cache_folder_that_is_gone_or_cannot_be_made(tmp_path):
    pytest.importorskip("numba")
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    for folder in (tmp_path / "new", blocked / "inside"):
        out = run(ONE_KERNEL, SKBP_KERNELS="numba", NUMBA_CACHE_DIR=str(folder))
        assert out.startswith("[2. 2.]")


def test_compiling_is_announced_once_and_cached(tmp_path):
    pytest.importorskip("numba")
    first, again = (run(FIT, SKBP_KERNELS="numba", NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2))
    assert first.count("skbp compiles its kernels") == 1
    assert "compiles" not in again
    assert first.startswith(again)
