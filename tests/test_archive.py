"""Archives and plain values: what is read is what was written, or it is refused."""

import io
import json
import os
import pickle
import zipfile

import numpy as np
import pytest

from skbp import BackpropRegressor, _archive, _plain_state
from skbp._archive import Arrays, Kind, Reader, write_archive
from skbp._plain import Unpacker, check_attribute

KIND = Kind("test file", "a test", 1, "test.json", "Use another.")


def write(path, **arrays):
    added = Arrays()
    names = {key: added.add(array, key) for key, array in arrays.items()}
    write_archive(path, KIND, {"names": names}, added.by_name)


def read(path, **how):
    with Reader(path, KIND, **how) as archive:
        return {key: archive.array(name) for key, name in archive.content["names"].items()}


def rewritten(path, change):
    """Write the archive anew, with right CRCs, after a change of its members, a dict of bytes."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


@pytest.mark.parametrize("mapped", [False, True])
def test_views_of_the_same_memory_stay_apart(mapped, tmp_path):
    a = np.arange(9.0).reshape(3, 3)
    arrays = {"whole": a, "turned": a.T, "again": a, "by columns": np.asfortranarray(a + 1)}
    write(tmp_path / "a", **arrays)
    for name, found in read(tmp_path / "a", mapped=mapped).items():
        np.testing.assert_array_equal(found, arrays[name])


def test_another_value_with_the_right_crc(tmp_path):
    write(tmp_path / "a", a=np.arange(3.0))

    def change(members):
        members["a.npy"] = members["a.npy"][:-1] + b"\x41"

    rewritten(tmp_path / "a", change)
    with pytest.raises(ValueError, match="SHA-256 of a is"):
        read(tmp_path / "a")


@pytest.mark.parametrize("shape", [[2], [4], [10**9]])
def test_another_shape_than_there_is(shape, tmp_path):
    write(tmp_path / "a", a=np.arange(3.0))

    def change(members):
        content, head = json.loads(members["test.json"]), io.BytesIO()
        content["arrays"]["a"]["shape"] = shape
        members["test.json"] = json.dumps(content).encode()
        described = {"descr": "<f8", "fortran_order": False, "shape": tuple(shape)}
        np.lib.format.write_array_header_1_0(head, described)
        members["a.npy"] = head.getvalue() + np.arange(3.0).tobytes()

    rewritten(tmp_path / "a", change)
    with pytest.raises(ValueError, match=r"is to have shape .*, but has 24 bytes"):
        read(tmp_path / "a")


def test_each_bit_of_the_description_counts(tmp_path):
    write(tmp_path / "a", a=np.arange(3.0))
    whole = (tmp_path / "a").read_bytes()
    at = whole.index(b'"names": {"a"') + len(b'"names": {"')
    (tmp_path / "a").write_bytes(whole[:at] + b"b" + whole[at + 1 :])
    with pytest.raises(ValueError, match="CRC"):
        read(tmp_path / "a")


def test_a_file_is_on_the_disk_before_it_is_moved_in_place(tmp_path, monkeypatch):
    done = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)

        def called(*given, name=name, real=real):
            done.append(name)
            return real(*given)

        monkeypatch.setattr(_archive.os, name, called)
    write(tmp_path / "a", a=np.arange(3.0))
    assert done == ["fsync", "replace", "fsync"]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    write(tmp_path / "a", a=np.arange(3.0))
    with pytest.raises(TypeError):
        write_archive(tmp_path / "a", KIND, {"names": object()}, {})
    np.testing.assert_array_equal(read(tmp_path / "a")["a"], np.arange(3.0))
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("pos", [-1, 625, 10**6])
def test_a_stream_that_would_be_read_beyond_its_end(pos):
    state = np.random.RandomState(0).get_state(legacy=False)
    state["state"]["pos"] = pos
    with pytest.raises(ValueError, match="a random state that is none"):
        Unpacker(None).unpack({"$random_state": state})


@pytest.mark.parametrize("name", ["__class__", "__dict__", "__slots_", "predict", "a b"])
def test_attributes_that_no_file_may_set(name):
    with pytest.raises(ValueError, match="no attribute"):
        check_attribute(BackpropRegressor, name)


@pytest.mark.parametrize("version", ["0.0.1", "999.0"])
def test_pickles_of_other_versions_warn(version, monkeypatch):
    monkeypatch.setattr(_plain_state, "__version__", version)
    content = pickle.dumps(BackpropRegressor())
    monkeypatch.undo()
    with pytest.warns(_plain_state.VersionWarning, match=version):
        pickle.loads(content)
