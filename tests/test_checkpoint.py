"""Checkpoint files: exact, whole or refused, and never half written."""

import errno
import io
import json
import os
import signal
import time
import tracemalloc
import warnings
import zipfile
from dataclasses import fields

import numpy as np
import pytest
from robustness.forge import overlapping

from skbp._engine import checkpoint
from skbp._engine.checkpoint import TrainingState, latest, read_epoch, read_state, write_state


def make_state(seed=0, n=50, **changes):
    """Return a state with something awkward in every field."""
    rng = np.random.default_rng(seed)
    stream = np.random.RandomState(seed)
    stream.normal()  # leaves half a pair of normals behind
    values = {
        "params": rng.normal(size=n).astype(np.float32),
        "state": np.empty(0),
        "rng_state": stream.get_state(legacy=False),
        "noise_state": rng.bit_generator.state,
        "order": rng.permutation(9),
        "history": {
            "optimizer": {
                "name": "Adam",
                "steps": 2**40 + seed,
                "arrays": {"mean": rng.normal(size=n), "square": rng.normal(size=n) ** 2},
                "average": np.array([np.nan, np.inf, -0.0, 5e-324]),
            },
            "loss": [0.1, 1 / 3, np.nan, np.inf, -np.inf, 5e-324],
            "best": np.float64(0.1) + 0.2,
            "scores": None,
            "flag": np.bool_(True),
            "odd": {"$array": 1, 2: {3, 4}, "../a": np.array([1.0]), (5,): b"6"},
        },
        "best": (rng.normal(size=n), None),
        "fingerprint": {"shapes": [(3, 4), (4,)], "dtype": "float32", "n_rows": np.int64(9)},
    }
    return TrainingState(**{**values, **changes})


def assert_same(one, other, where="state"):
    """Compare two values bit by bit, types included."""
    if isinstance(one, TrainingState):
        for f in fields(one):
            assert_same(getattr(one, f.name), getattr(other, f.name), f.name)
    elif isinstance(one, np.ndarray):
        assert isinstance(other, np.ndarray), where
        assert (one.dtype, one.shape) == (other.dtype, other.shape), where
        assert one.tobytes() == other.tobytes(), where
    elif isinstance(one, dict):
        assert list(one) == list(other), where
        for key in one:
            assert_same(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, list | tuple):
        assert type(one) is type(other), where
        assert len(one) == len(other), where
        for a, b in zip(one, other, strict=True):
            assert_same(a, b, where)
    else:
        assert type(one) is type(other), where
        assert one == other or (one != one and other != other), where


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.npz"


# ------------------------------------------------------------ exact


@pytest.mark.parametrize("seed", range(3))
def test_round_trip(path, seed):
    state = make_state(seed)
    write_state(path, state, {"epoch": 3, "loss": np.nan})
    assert_same(state, read_state(path))
    assert_same(state, read_state(str(path)))
    assert_same({"epoch": 3, "loss": np.nan}, read_epoch(path))
    assert os.listdir(path.parent) == [path.name]


def test_streams_go_on_where_they_were(path):
    stream, noise = np.random.RandomState(1), np.random.Generator(np.random.SFC64(1))
    stream.normal()
    state = make_state(
        rng_state=stream.get_state(legacy=False), noise_state=noise.bit_generator.state
    )
    write_state(path, state)
    back = read_state(path)
    other, other_noise = np.random.RandomState(5), np.random.Generator(np.random.SFC64(5))
    other.set_state(back.rng_state)
    other_noise.bit_generator.state = back.noise_state
    assert (stream.normal(size=9) == other.normal(size=9)).all()
    assert (noise.normal(size=9) == other_noise.normal(size=9)).all()


def test_a_file_is_an_ordinary_npz_with_strict_json(path):
    state = make_state()
    arrays = state.history["optimizer"]["arrays"]
    write_state(path, state)
    with np.load(path, allow_pickle=False) as archive:
        assert (archive["params"] == state.params).all()
        assert (archive["history.optimizer.arrays.mean"] == arrays["mean"]).all()

    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    with zipfile.ZipFile(path) as archive:
        content = json.loads(archive.read("state.json"), parse_constant=refuse)
    assert content["version"] == 1


def test_optional_parts_may_be_missing(path):
    state = make_state(noise_state=None, order=None, best=None, history={})
    write_state(path, state)
    assert_same(state, read_state(path))
    assert read_epoch(path) is None


@pytest.mark.parametrize(
    "bad",
    [object(), len, int, np.array([object()]), np.zeros(2, "i4,f4")],
    ids=["object", "function", "class", "array of objects", "records"],
)
def test_what_cannot_be_kept_is_an_error(path, bad):
    write_state(path, make_state())
    with pytest.raises(TypeError, match="a checkpoint cannot hold"):
        write_state(path, make_state(1, history={"bad": bad}))
    assert_same(make_state(), read_state(path))
    assert os.listdir(path.parent) == [path.name]


# ------------------------------------------------------------ damaged


def assert_same_or_refused(path, state):
    try:
        back = read_state(path)
    except ValueError as error:
        assert str(path) in str(error)
        assert "damaged" in str(error)
        return True
    assert_same(state, back)
    return False


def test_damaged_files_never_load_other_numbers(path):
    state = make_state(n=20)
    write_state(path, state)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for end in rng.integers(0, len(whole), 80):
        path.write_bytes(whole[:end])
        assert assert_same_or_refused(path, state)
    for _ in range(160):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), rng.integers(1, 4)):
            damaged[place] ^= rng.integers(1, 256)
        path.write_bytes(damaged)
        refused += assert_same_or_refused(path, state)
    assert refused > 120
    for start in rng.integers(0, len(whole) - 64, 40):  # a lost sector
        damaged = bytearray(whole)
        damaged[start : start + 64] = bytes(64)
        path.write_bytes(damaged)
        assert_same_or_refused(path, state)


def test_every_byte_of_the_directory(path):
    # the archive's list of members has no CRC of its own
    state = make_state(n=3, rng_state={}, noise_state=None, history={})
    write_state(path, state)
    whole = path.read_bytes()
    start = whole.index(b"PK\x01\x02")
    for place in range(start, len(whole)):
        for flip in (0x01, 0x80):
            damaged = bytearray(whole)
            damaged[place] ^= flip
            path.write_bytes(damaged)
            assert_same_or_refused(path, state)


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06" + bytes(18), b"hello", bytes(1000)])
def test_other_files_are_refused(path, content):
    path.write_bytes(content)
    assert assert_same_or_refused(path, None)


def test_pickles_are_never_loaded(path):
    np.savez(path, params=np.array([print], dtype=object))
    assert assert_same_or_refused(path, None)


def header(shape, dtype="|u1"):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": dtype, "fortran_order": False, "shape": shape}
    )
    return file.getvalue()


def with_json(names):
    """Return the `state.json` of a state that has so many arrays."""
    content = {
        "format": "skbp checkpoint", "version": 1, "epoch": None,
        "state": {
            **{name: {"$array": "a0"} for name in ("params", "state")},
            "history": {name: {"$array": name} for name in names}, "rng_state": {},
        },
        "arrays": {name: {} for name in names},
    }  # fmt: skip
    return json.dumps(content).encode()


def test_members_that_overlap_are_not_read(path):
    names = [f"a{i}" for i in range(300)]
    members = [(f"{name}.npy", lambda rest: header((len(rest),)) + rest) for name in names]
    last = [("state.json", lambda rest: with_json(names))]
    path.write_bytes(overlapping([*members, *last]))
    assert sum(i.file_size for i in zipfile.ZipFile(path).infolist()) > 100 * path.stat().st_size
    assert_refused_in_little_memory(path, "overlap")


def assert_refused_in_little_memory(path, why):
    tracemalloc.start()
    with pytest.raises(ValueError, match=f"state.npz is damaged, or is none: .*{why}"):
        read_state(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * path.stat().st_size + 500_000


@pytest.mark.parametrize("shape, dtype", [
    ((10**10,), "<f8"), ((10**5, 10**6), "<f4"), ((2**62, 4), "<f8"), ((3,), "<f8"), ((1,), "<f8"),
    ((-2, -1), "<f8"), ((10**9,), "|V0"), ((10**9,), "<U0"), ((2,), "|O"), ((), "<c16"),
])  # fmt: skip
def test_a_header_that_does_not_fit_what_is_there(shape, dtype, path):
    write_state(path, make_state(n=3))
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["params.npy"] = header(shape, dtype) + bytes(20)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    assert_refused_in_little_memory(path, "params")


def test_compressed_members_and_doubled_ones(path):
    write_state(path, make_state(params=np.zeros(10**6)))
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    assert path.stat().st_size < len(whole) / 100
    assert_refused_in_little_memory(path, "compressed")
    path.write_bytes(whole)
    with (
        pytest.warns(UserWarning, match="Duplicate name"),
        zipfile.ZipFile(path, "a") as archive,
    ):
        archive.writestr("params.npy", members["params.npy"])
    assert_refused_in_little_memory(path, "overlap")


@pytest.mark.parametrize("array", [
    np.asfortranarray(np.arange(12.0).reshape(3, 4)), np.zeros((0, 3)), np.array(3),
    np.arange(5, dtype=">i4"), np.arange(6)[::2], np.array(["a", "bcd"]), np.ones((2, 1, 3), bool),
])  # fmt: skip
def test_arrays_of_all_kinds(array, path):
    write_state(path, make_state(best=(array, None)))
    back = read_state(path).best[0]
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(back, array)
    assert back.flags.writeable


def test_a_newer_version_is_refused_by_name(path, monkeypatch):
    newer = checkpoint.CHECKPOINT._replace(version=2)
    monkeypatch.setattr(checkpoint, "CHECKPOINT", newer)
    write_state(path, make_state())
    monkeypatch.undo()
    with pytest.raises(ValueError, match="of version 2; this skbp reads"):
        read_state(path)


# ------------------------------------------------------------ folders


def write_series(folder, count):
    """Write states 0, 1 ... and set their times apart."""
    paths = []
    for seed in range(count):
        paths.append(folder / f"{seed}.npz")
        write_state(paths[-1], make_state(seed))
        os.utime(paths[-1], (1000 + seed, 1000 + seed))
    return paths


def test_a_folder_stands_for_its_latest(tmp_path):
    paths = write_series(tmp_path, 3)
    assert latest(tmp_path) == latest(str(tmp_path)) == paths[2]
    assert_same(make_state(2), read_state(tmp_path))
    os.utime(paths[0], (2000, 2000))  # the time counts, not the name
    assert latest(tmp_path) == paths[0]
    inside = tmp_path / "fit-2"
    inside.mkdir()
    write_state(inside / "9.npz", make_state(9))
    assert latest(tmp_path) == inside / "9.npz"


def test_a_folder_skips_damaged_files_with_a_warning(tmp_path):
    paths = write_series(tmp_path, 3)
    paths[2].write_bytes(paths[2].read_bytes()[:-30])
    with pytest.warns(UserWarning, match=r"2\.npz is damaged.* before it is taken"):
        assert_same(make_state(1), read_state(tmp_path))
    with pytest.warns(UserWarning, match=r"2\.npz is damaged"):
        assert latest(tmp_path) == paths[1]


def test_nothing_to_read(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint that can be read"):
        read_state(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_state(tmp_path / "missing.npz")
    (tmp_path / "a.npz").write_bytes(b"no")
    with (
        pytest.warns(UserWarning, match="damaged"),
        pytest.raises(FileNotFoundError, match="no checkpoint"),
    ):
        latest(tmp_path)


def test_a_file_that_vanishes_meanwhile_is_passed_over(tmp_path, monkeypatch):
    paths = write_series(tmp_path, 2)
    monkeypatch.setattr(checkpoint, "newest_first", lambda folder: [tmp_path / "gone", *paths[:1]])
    assert latest(tmp_path) == paths[0]


# ------------------------------------------------------------ failures in writing


def assert_untouched(path, state):
    assert os.listdir(path.parent) == [path.name], "something is left of the file aside"
    assert_same(state, read_state(path))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_failing_calls(path, monkeypatch, call, code):
    state = make_state()
    write_state(path, state)

    def fail(*args):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="could not write the checkpoint") as caught:
        write_state(path, make_state(1))
    monkeypatch.undo()
    assert caught.value.errno == code
    for part in (str(path), os.strerror(code), "Free some space", "are untouched"):
        assert part in str(caught.value)
    assert_untouched(path, state)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_full_disk(path, share):
    resource = pytest.importorskip("resource")
    state = make_state()
    write_state(path, state)
    size = path.stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(share * size), before[1]))
    try:
        with pytest.raises(OSError, match="could not write") as caught:
            write_state(path, make_state(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.errno == errno.EFBIG
    assert_untouched(path, state)


def test_a_folder_that_takes_no_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"could not write .*choose a folder"):
        write_state(tmp_path / "missing" / "a.npz", make_state())
    if os.path.isdir("/proc/self"):  # takes no files, not even from root
        with pytest.raises(OSError, match="could not write"):
            write_state("/proc/self/a.npz", make_state())
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(IsADirectoryError, match="could not write"):
        write_state(tmp_path / "folder.npz", make_state())
    assert os.listdir(tmp_path) == ["folder.npz"]


def test_a_network_drive_that_cannot_flush_folders(path, monkeypatch):
    flush = os.fsync
    calls = []

    def fsync(handle):
        calls.append(handle)
        if len(calls) == 2:
            raise OSError(errno.EINVAL, "not for folders")
        flush(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    write_state(path, make_state())
    assert len(calls) == 2, "both the file and its folder are flushed"
    assert_same(make_state(), read_state(path))


def test_ctrl_c_in_writing(path, monkeypatch):
    write_state(path, make_state())

    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_state(path, make_state(1))
    monkeypatch.undo()
    assert_untouched(path, make_state())


def write_for_ever(folder, seed, pipe):
    """Write checkpoints, each with its number in it, and report each through a pipe."""
    while True:
        params = np.full(60_000, seed, float)
        state = TrainingState(params, params[:0], {"steps": seed, "v": -params}, {})
        write_state(folder / f"{seed % 3}.npz", state)
        os.write(pipe, f"{seed}\n".encode())
        seed += 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of fork where there are threads
def test_killed_in_writing(tmp_path):
    rng = np.random.default_rng(0)
    done, aside = 0, 0
    for _ in range(40):
        read, write = os.pipe()
        child = os.fork()
        if not child:
            try:
                write_for_ever(tmp_path, done + 1, write)
            finally:
                os._exit(1)
        os.close(write)
        with open(read) as pipe:
            lines = [pipe.readline()]
            time.sleep(rng.uniform(0, 0.02))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            lines += pipe.read().split()
        reported = int(lines[-1])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            state = read_state(tmp_path)
        # the last one reported, or one after it that the process could not report any more
        steps = state.history["steps"]
        assert steps in (reported, reported + 1)
        assert (state.params == steps).all()
        assert (state.history["v"] == -steps).all()
        done = steps
        aside += len(list(tmp_path.glob(".*.tmp")))
    assert aside > 0, "no process was killed in the middle of writing"
