"""The quick part of tests/robustness/files.py, and that it sees what must not be.

``python tests/robustness/files.py`` runs all of it; ``pytest -m slow tests/test_files.py`` too.
"""

import os
import time

import numpy as np
import pytest
from _fitted import LABELS, X, classifier
from robustness import files, hostile, hostile_files
from robustness.forge import put_together, take_apart

import skbp
from skbp import _archive
from skbp._engine.checkpoint import write_state

pytestmark = [
    pytest.mark.skipif(
        not os.path.exists("/proc/self/statm"), reason="limits memory as Linux does"
    ),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of fork where there are threads
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
assert hostile_files


# ------------------------------------------------------------ damaged


def check_damage(tmp_path, n, step):
    for name, found, bad in files.damage(files.OURS, n, tmp_path, step):
        assert bad == [], name
        assert found["refused"] > 0.9 * found.total()


def test_damaged_files_are_refused_or_the_same(tmp_path):
    check_damage(tmp_path, 1500, 151)


@pytest.mark.slow
def test_ten_thousand_damaged_files(tmp_path):
    check_damage(tmp_path, 10_000, 1)


def test_damage_is_seen_where_nothing_is_checked(tmp_path):
    ((_, found, bad),) = files.damage(["pickle"], 1600, tmp_path, 8)
    assert found["other"] > 0
    assert len(bad) >= found["other"]


def test_damage_is_seen_in_ours_without_its_checks(tmp_path, monkeypatch):
    monkeypatch.setattr(_archive.zipfile.ZipExtFile, "_update_crc", lambda self, data: None)
    monkeypatch.setattr(_archive.hashlib, "sha256", lambda *a: Same())
    subject = files.Subject("skbp.save", tmp_path)
    start = subject.content.index(subject.net._network.params.tobytes())
    content = bytearray(subject.content)
    content[start + 3] ^= 1
    path = tmp_path / "changed"
    path.write_bytes(content)
    assert subject.outcome(path) == "other weights"


class Same:
    """A hash that is always the same."""

    def update(self, data):
        pass

    def hexdigest(self):
        return "0"


# ------------------------------------------------------------ killed


def check_kills(tmp_path, name, n):
    found = files.kills(name, n, tmp_path)
    assert found["whole"] == n, found
    before, after, later = files.leftovers(name, tmp_path)
    assert before == after  # a process may still write there
    assert later == 0


@pytest.mark.parametrize("name", files.OURS)
def test_killed_in_writing(name, tmp_path):
    check_kills(tmp_path, name, 12)


@pytest.mark.slow
@pytest.mark.parametrize("name", files.OURS)
def test_killed_five_hundred_times_in_writing(name, tmp_path):
    check_kills(tmp_path, name, 500)


def write_model(path):
    skbp.save(classifier().fit(X, LABELS), path)


def write_checkpoint(path):
    write_state(path, files._state())


@pytest.mark.parametrize("write", [write_model, write_checkpoint])
def test_a_file_is_on_the_disk_before_it_is_moved_and_then_its_folder_is(
    write, tmp_path, monkeypatch
):
    calls = []

    def told(name, call):
        def inner(*arguments):
            of = arguments[0]
            if isinstance(of, int):
                of = os.readlink(f"/proc/self/fd/{of}")
                size = os.path.getsize(of)
                calls.append((name, os.path.basename(of), size if os.path.isfile(of) else 0))
            else:
                calls.append((name, *map(os.path.basename, arguments)))
            return call(*arguments)

        return inner

    monkeypatch.setattr(os, "fsync", told("fsync", os.fsync))
    monkeypatch.setattr(os, "replace", told("replace", os.replace))
    write(tmp_path / "a")
    monkeypatch.undo()
    size = os.path.getsize(tmp_path / "a")
    (_, aside, flushed), moved, (_, folder, _) = calls
    assert flushed == size, "all of it is flushed, not a part"
    assert moved == ("replace", aside, "a")
    assert folder == tmp_path.name


def test_what_others_have_left_stays(tmp_path):
    path = tmp_path / "[a].skbp"
    own = tmp_path / f".[a].skbp.{'0' * 32}.tmp"
    names = [f".b.skbp.{'0' * 32}.tmp", ".[a].skbp.tmp", f".a.skbp.{'0' * 32}.tmp",
             f".[a].skbp.{'1' * 32}.tmp"]  # fmt: skip
    others = [tmp_path / name for name in names]
    for one in (own, *others):
        one.write_bytes(b"")
        os.utime(one, (time.time() - 4000,) * 2)
    os.utime(others[-1])  # perhaps somebody writes it
    write_model(path)
    assert sorted(tmp_path.iterdir()) == sorted([path, *others])


# ------------------------------------------------------------ hostile


def check_hostile(names, tmp_path):
    bad = {
        name: (told, words)
        for name, told, words, _ in hostile.run(names, tmp_path)
        if not hostile.good(name, told)
    }
    assert bad == {}


def test_hostile_files(tmp_path):
    assert len(hostile.CASES) > 250
    simple = [name for name, (seed, *_) in hostile.CASES.items() if seed in ("net", "nearest")]
    check_hostile(simple[::8], tmp_path)


@pytest.mark.slow
def test_all_hostile_files(tmp_path):
    check_hostile(None, tmp_path)


@pytest.mark.parametrize("load, told", [
    (lambda path: os.system("true"), "executed"),
    (lambda path: eval("1 + 1"), "executed"),
    (lambda path: open(path, "w").close(), "executed"),
    (lambda path: os.kill(os.getpid(), 9), "signal 9"),
    (lambda path: np.ones(10**9), "unclean"),
    (lambda path: {}["a"], "unclean"),
    (lambda path: int("a"), "names no file"),
    (lambda path: None, "loaded"),
])  # fmt: skip
def test_what_must_not_be_is_seen(load, told, tmp_path):
    assert hostile.run_one(tmp_path / "model", load)[0] == told


def test_a_hang_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(hostile, "SECONDS", 1)
    assert hostile.run_one(tmp_path / "a", lambda path: time.sleep(9))[0] == "hang"


# ------------------------------------------------------------ what was found, one by one


def test_a_pipeline_with_a_cache_is_saved_without_it(tmp_path):
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    estimator = make_pipeline(StandardScaler(), classifier(), memory=str(tmp_path / "cache"))
    with pytest.warns(UserWarning, match="memory, a cache, is not saved"):
        skbp.save(estimator.fit(X, LABELS), tmp_path / "a")
    assert skbp.load(tmp_path / "a").memory is None


def test_layers_are_no_estimators(tmp_path):
    from skbp.layers import Dense

    with pytest.raises(TypeError, match=r"save takes an estimator. Got Dense"):
        skbp.save(Dense(3), tmp_path / "a")


def test_the_memory_of_an_optimizer_that_is_no_longer_used_is_forgotten(tmp_path):
    net = classifier().fit(X, LABELS).set_params(solver="sgd")
    skbp.save(net, tmp_path / "a", optimizer=True)
    back = skbp.load(tmp_path / "a")
    assert back._history.optimizer.arrays is None
    back.partial_fit(X, LABELS)
    back.set_params(solver="adam").partial_fit(X, LABELS)


def test_an_array_in_two_places_is_read_once(tmp_path):
    net = classifier().fit(X, LABELS)
    net.one = net.other = np.arange(3.0)
    skbp.save(net, tmp_path / "a")
    back = skbp.load(tmp_path / "a")
    assert back.one is back.other


def test_too_much_for_a_file_is_an_error_before_it_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(_archive, "MAX_CONTENT", 100)
    with pytest.raises(ValueError, match=r"at most 50,000 arrays, and 100 bytes.*save parts"):
        write_model(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_the_size_of_the_list_of_members_is_that_of_zip64_too(tmp_path):
    with open(tmp_path / "a", "wb") as file:
        file.write(b"PK\6\6" + bytes(36) + (2**40).to_bytes(8, "little") + bytes(8))
        file.write(b"PK\6\7" + bytes(4) + (0).to_bytes(8, "little") + bytes(4))
        file.write(b"PK\5\6" + bytes(8) + b"\xff" * 8 + b"\0\0")
    with open(tmp_path / "a", "rb") as file, pytest.raises(ValueError, match="1,099,511,627,776"):
        _archive.check_directory(file, os.path.getsize(tmp_path / "a"))


def test_files_of_today_go_through_the_forge(tmp_path):
    write_model(tmp_path / "a")
    content, arrays = take_apart(tmp_path / "a")
    put_together(tmp_path / "b", content, arrays)
    one, other = (skbp.load(tmp_path / name) for name in "ab")
    assert (one.predict_proba(X) == other.predict_proba(X)).all()
