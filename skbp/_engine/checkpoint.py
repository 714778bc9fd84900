"""Checkpoints: the whole state of a training run, in files that are either complete or not there.

A checkpoint is an ``.npz`` archive: one ``.npy`` member an array, stored uncompressed, and a member
``state.json`` with everything else. The archive's CRC-32 of each member is checked in reading.
"""

import errno
import io
import json
import math
import os
import zipfile
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from uuid import uuid4

import numpy as np

from skbp._warnings import warn

FORMAT, VERSION = "skbp checkpoint", 1
JSON_MEMBER = "state.json"
#: Where a folder holds several fits, each after the first has such a subfolder.
FIT_FOLDERS = "fit-*"


@dataclass(eq=False)
class TrainingState:
    """Everything that training needs to go on as if it had never stopped.

    Parameters
    ----------
    params : ndarray of shape (n_params,)
        The network's parameters.
    state : ndarray of shape (n_state,)
        The network's arrays that are not trained (running means); may be empty.
    history : dict of str to object
        All fields of the `History`: losses, scores, counters, the optimizer's state.
    rng_state : dict
        ``RandomState.get_state(legacy=False)`` of the stream behind the batches.
    noise_state : dict or None
        ``Generator.bit_generator.state`` of the stream behind dropout and the like.
    order : ndarray of shape (n_rows,), intp, or None
        The batches' running permutation.
    best : tuple of (ndarray, ndarray or None), or None
        `params` and `state` of the best epoch.
    split : tuple of (ndarray, ndarray), or None
        Numbers of the rows to train and to validate on, where fit chose them.
    fingerprint : dict of str to object
        Facts that a fit must share to go on from here, in numbers, strings, lists and dicts: see
        `skbp._engine.fingerprint`.
    unseen : tuple of (ndarray, ndarray), or None
        What is kept of held-out rows: see `skbp._engine.unseen`.
    """

    params: np.ndarray
    state: np.ndarray
    history: dict
    rng_state: dict
    noise_state: dict | None = None
    order: np.ndarray | None = None
    best: tuple | None = None
    split: tuple | None = None
    fingerprint: dict = field(default_factory=dict)
    unseen: tuple | None = None


# ------------------------------------------------------------ values to JSON and arrays, and back


def _pack(value, where, arrays):
    """Return `value` as strict JSON can hold it; put its arrays into `arrays` under their place."""
    if isinstance(value, np.ndarray):
        arrays[where] = value
        return {"$array": where}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str) or key.startswith("$") or "/" in key:
                raise TypeError(
                    f"a checkpoint cannot hold the key {key!r} of {where}: keys are strings that "
                    "do not begin with '$' and have no '/' in them"
                )
        return {key: _pack(item, f"{where}/{key}", arrays) for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [_pack(item, f"{where}/{i}", arrays) for i, item in enumerate(value)]
        return items if isinstance(value, list) else {"$tuple": items}
    if isinstance(value, float) and not np.isfinite(value):
        return {"$float": repr(value)}  # JSON has no word for NaN and infinity
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(
        f"a checkpoint cannot hold {where} of type {type(value).__name__}; give numbers, strings, "
        "None, arrays, and lists, tuples and dicts of them"
    )


def _unpack(value, arrays):
    """Undo `_pack`."""
    if isinstance(value, list):
        return [_unpack(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if "$array" in value:
        return arrays[value["$array"]]
    if "$tuple" in value:
        return tuple(_unpack(value["$tuple"], arrays))
    if "$float" in value:
        return float(value["$float"])
    return {key: _unpack(item, arrays) for key, item in value.items()}


# ------------------------------------------------------------ writing


def write_state(path, state, epoch=None):
    """Write a checkpoint so that at each moment `path` is the old file, or the new one, whole.

    The file is written aside in the same folder, flushed to the disk and renamed; the folder is
    flushed too, so that the checkpoint survives a power failure once this has returned.

    Parameters
    ----------
    path : str or path-like
        The file; by custom its name ends in ``.npz``.
    state : TrainingState
    epoch : dict, optional
        What is known of the epoch (number, loss, scores), for `read_epoch`.

    Raises
    ------
    OSError
        If the file cannot be written (disk full, folder read-only or missing). What was written of
        it is removed; other files are untouched.
    TypeError
        If the state holds something other than numbers, strings, None, arrays of numbers, and
        lists, tuples and dicts of them.
    """
    path = Path(path)
    aside = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        with open(aside, "xb") as file:
            _write_archive(file, state, epoch)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
        _sync_folder(path.parent)
    except BaseException as error:
        with suppress(OSError):
            aside.unlink()
        if isinstance(error, OSError):
            raise OSError(
                error.errno,
                f"could not write the checkpoint {path}: {error.strerror or error}. Free some "
                "space on the disk, or choose a folder that can be written to. Earlier "
                "checkpoints are untouched.",
            ) from error
        raise


def _write_archive(file, state, epoch):
    arrays: dict[str, np.ndarray] = {}
    packed = {f.name: _pack(getattr(state, f.name), f.name, arrays) for f in fields(state)}
    content = {
        "format": FORMAT,
        "version": VERSION,
        "epoch": _pack(epoch, "epoch", arrays),
        "state": packed,
    }
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(JSON_MEMBER), json.dumps(content, allow_nan=False))
        for name, array in arrays.items():
            if array.dtype.hasobject:
                raise TypeError(f"a checkpoint cannot hold Python objects, as {name} does")
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _sync_folder(folder):
    """Flush a folder's list of files to the disk, where the system can."""
    if os.name == "nt":  # Windows opens no folders
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network drives
            raise
    finally:
        os.close(handle)


# ------------------------------------------------------------ reading


def read_state(path):
    """Read a checkpoint.

    Parameters
    ----------
    path : str or path-like
        A file; or a folder, of which the latest checkpoint that is whole is read. A folder's
        subfolders ``fit-2``, ``fit-3`` ... count as part of it.

    Returns
    -------
    state : TrainingState

    Raises
    ------
    ValueError
        If the file is damaged or no checkpoint; it names the file and what is wrong. In a folder
        such files are passed over with a warning.
    FileNotFoundError
        If there is no such file, or no checkpoint in the folder that can be read.
    """
    path = Path(path)
    return find_latest(path)[1] if path.is_dir() else _read(path)[0]


def read_epoch(path):
    """Read what a checkpoint file tells of its epoch: the dict given to `write_state`, or None."""
    return _read(Path(path), with_state=False)[1]


def latest(folder):
    """Return the path of the latest checkpoint in a folder that is whole; see `read_state`.

    Parameters
    ----------
    folder : str or path-like

    Returns
    -------
    path : Path

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    return find_latest(Path(folder))[0]


def newest_first(folder):
    """Return the paths of a folder's ``.npz`` files, those written last first."""
    found = []
    for path in (*folder.glob("*.npz"), *folder.glob(f"{FIT_FOLDERS}/*.npz")):
        with suppress(FileNotFoundError):  # a running fit may just have removed it
            found.append((path.stat().st_mtime_ns, path.name, path))
    return [path for *_, path in sorted(found, reverse=True)]


def find_latest(folder):
    """Return path and state of a folder's latest checkpoint; see `latest`."""
    for path in newest_first(folder):
        try:
            return path, _read(path)[0]
        except FileNotFoundError:
            continue
        except ValueError as error:
            warn(f"{error} The checkpoint before it is taken.")
    raise FileNotFoundError(
        errno.ENOENT, "there is no checkpoint that can be read in this folder", str(folder)
    )


def _read(path, with_state=True):
    """Return (TrainingState or None, epoch) of a file."""
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return _read_archive(archive, os.fstat(file.fileno()).st_size, with_state)
        except MemoryError:
            raise
        except Exception as error:  # zipfile raises a dozen kinds for damaged files
            raise ValueError(
                f"the checkpoint {path} is damaged, or is none: {error or type(error).__name__}. "
                "Use an earlier one."
            ) from error


def _read_archive(archive, size, with_state):
    members = archive.infolist()
    names = [info.filename for info in members]
    # Uncompressed members that lie side by side cannot be larger than the file. If the archive's
    # directory says so, they overlap: reading them all could take any amount of memory.
    if any(info.compress_type != zipfile.ZIP_STORED for info in members):
        raise ValueError("a member is compressed")
    if sum(info.file_size for info in members) > size or len(set(names)) < len(names):
        raise ValueError("its members overlap")
    content = json.loads(archive.read(JSON_MEMBER))  # compares the CRC
    if content["format"] != FORMAT or content["version"] > VERSION:
        raise ValueError(
            f"it is a {content['format']!r} of version {content['version']}; this skbp reads "
            f"{FORMAT!r} up to version {VERSION}"
        )
    arrays = {
        name.removesuffix(".npy"): _array_of(archive.read(name), name)
        for name in names
        if name != JSON_MEMBER and (with_state or name.startswith("epoch/"))
    }
    state = TrainingState(**_unpack(content["state"], arrays)) if with_state else None
    return state, _unpack(content["epoch"], arrays)


def _array_of(content, name):
    """Return the array of an ``.npy`` member, once its header agrees with what there is."""
    file = io.BytesIO(content)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0
    }[np.lib.format.read_magic(file)]  # fmt: skip
    shape, by_columns, dtype = read(file)
    there = len(content) - file.tell()
    if dtype.hasobject or dtype.itemsize == 0 or min(shape, default=0) < 0:
        raise ValueError(f"{name} has dtype {dtype} and shape {shape}")
    if math.prod(shape) * dtype.itemsize != there:
        raise ValueError(f"{name} is to have shape {shape} and dtype {dtype}, but {there} bytes")
    values = np.frombuffer(content, dtype, offset=file.tell())
    return values.reshape(shape, order="F" if by_columns else "C").copy(order="K")
