"""Checkpoints: the whole state of a training run, in archives of arrays (`skbp._archive`)."""

import errno
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from skbp._archive import Arrays, Kind, Reader, write_archive
from skbp._plain import Packer, Unpacker
from skbp._warnings import warn

CHECKPOINT = Kind("checkpoint", "skbp checkpoint", 1, "state.json", "Use an earlier one.")
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


# ------------------------------------------------------------ writing


def write_state(path, state, epoch=None):
    """Write a checkpoint so that at each moment `path` is the old file, or the new one, whole.

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
    arrays = Arrays()
    packer = Packer(arrays.add, _refuse)
    parts = {one.name: packer.pack(getattr(state, one.name), one.name) for one in fields(state)}
    content = {"epoch": packer.pack(epoch, "epoch"), "state": parts}
    write_archive(path, CHECKPOINT, content, arrays.by_name)


def _refuse(value, where):
    raise TypeError(
        f"a checkpoint cannot hold {where} of type {type(value).__name__}; give numbers, strings, "
        "None, arrays, and lists, tuples and dicts of them"
    )


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
    with Reader(path, CHECKPOINT) as archive:
        unpacker = Unpacker(archive.array, {"$kind": _no_objects})
        epoch = unpacker.unpack(archive.content["epoch"])
        if not with_state:
            return None, epoch
        parts = unpacker.unpack(archive.content["state"])
        if not all(isinstance(parts[name], np.ndarray) for name in ("params", "state")):
            raise ValueError("its params and state are no arrays")
        return TrainingState(**parts), epoch


def _no_objects(value):
    raise ValueError(f"it holds an object, {value['$kind']!r:.100}, as no checkpoint does")
