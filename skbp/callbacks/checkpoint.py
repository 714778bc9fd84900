"""Checkpoints on disk while training goes on."""

import math
import os
import string
import time
import warnings
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from skbp._archive import ABANDONED
from skbp._component import AnyOf, Flag
from skbp._engine.checkpoint import (
    FIT_FOLDERS,
    find_latest,
    newest_first,
    read_epoch,
    read_state,
    write_state,
)
from skbp.callbacks._claims import claimed
from skbp.callbacks.base import Callback, Whole, task_path
from skbp.callbacks.stopping import direction

BEST = "best.npz"
#: What is best is told by the first of these that an epoch has.
CRITERIA = ("validation_score", "validation_loss", "loss")


class FileName:
    """A pattern for names of checkpoints."""

    def __contains__(self, value):
        try:
            list(string.Formatter().parse(value))
        except (TypeError, ValueError):
            return False
        plain = not value.startswith((".", "*")) and not {"/", "\\"} & set(value)
        return plain and value.endswith(".npz") and value != BEST

    def __str__(self):
        return (
            f"a name without folders that ends in '.npz', with fields like {{epoch:05d}} or "
            f"{{loss:.3f}}, and not {BEST!r}"
        )


class PathLike:
    """A path that is not empty."""

    def __contains__(self, value):
        return isinstance(value, str | os.PathLike) and str(value) != ""

    def __str__(self):
        return "the path of a file or folder"


class CountOrNone(Whole):
    """The whole numbers from `low` on, and None."""

    def __contains__(self, value):
        return value is None or super().__contains__(value)

    def __str__(self):
        return f"{super().__str__()}, or None"


@dataclass
class Files:
    """What is known of the files of one fit.

    `base` is its place; `home` the folder in use, once there is a file; `written` the checkpoints
    that are kept, oldest first; `best` the best value so far, signed so that more is better.
    """

    base: Path
    home: Path | None = None
    written: list[Path] = field(default_factory=list)
    best: float = -math.inf

    def go_on(self, newest, name_of):
        """Take up the files of an earlier fit, which goes on from its newest.

        Of all there are, those whose name is what `name_of` makes of their epoch.
        """
        home = self.home = newest.parent
        mine = [path for path in newest_first(home) if path.parent == home and path.name != BEST]
        self.written = [
            path
            for path in reversed(mine)
            if (epoch := _epoch_or_none(path)) and _name_or_none(name_of, epoch) == path.name
        ]
        epoch = _epoch_or_none(self.home / BEST)
        if epoch:
            self.best = signed_value(epoch)

    def has(self, path):
        """Whether a checkpoint lies in the fit's own place."""
        folder, base = path.resolve().parent, self.base.resolve()
        return folder == base or (folder.parent == base and folder.match(FIT_FOLDERS))

    @contextmanager
    def folder(self):
        """Give the folder to write to; the first time choose it, so that no file is replaced."""
        if self.home is not None:
            yield self.home
            return
        with claimed(self.base) as empty:
            self.home = self.base if empty else numbered_folder(self.base)
            remove_abandoned(self.home)
            yield self.home

    def keep(self, path, count):
        """Note a new checkpoint; remove all but the last `count`."""
        self.written = [*(other for other in self.written if other != path), path]
        while count is not None and len(self.written) > count:
            oldest = self.written.pop(0)
            try:
                oldest.unlink(missing_ok=True)
            except OSError as error:
                warnings.warn(f"could not remove the old checkpoint: {error}", stacklevel=2)


def signed_value(epoch):
    """Return what an epoch is judged by, signed so that more is better."""
    name = next(name for name in CRITERIA if name in epoch)
    return direction(name) * float(epoch[name])


def state_of(training):
    """Return the state of a training; ValueError if it is of a kind that has none."""
    if not hasattr(training, "state"):
        raise ValueError(
            "Checkpoint and TrainingCache cannot save this training: its solver ('lbfgs') has no "
            "state to go on from. Use a stochastic solver, or take them out of set_callbacks."
        )
    return training.state()


def _epoch_or_none(path):
    try:
        return read_epoch(path)
    except (OSError, ValueError):
        return None


def _name_or_none(name_of, epoch):
    try:
        return name_of(epoch)
    except ValueError:  # it lacks a number that the name asks for
        return None


def numbered_folder(base):
    """Make and return the first of fit-2, fit-3 ... that is not there yet."""
    number = 2
    while True:
        folder = base / FIT_FOLDERS.replace("*", str(number))
        with suppress(FileExistsError):
            folder.mkdir()
            return folder
        number += 1


def remove_abandoned(folder):
    """Remove what processes that were killed in the middle of writing have left."""
    for path in folder.glob(".*.npz.*.tmp"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > ABANDONED:
                path.unlink()


class Checkpoint(Callback):
    """Saves the state of the training to a folder, so that a fit that died can go on.

    Each file holds all that training needs to go on with the same bits: weights, optimizer state,
    random streams, history. It is written aside and renamed, so a file under its own name is whole,
    and older ones are removed only after that. An error in writing ends the fit. Epochs whose loss
    is not finite are not saved.

    No fit replaces another's files. A fit by itself, also as part of a Pipeline, writes to
    `folder`; each candidate of a search to a subfolder with the ids of its task (``folder/0/3``),
    the refit again to `folder`. Where there are checkpoints of another fit already, a new one takes
    ``fit-2``, ``fit-3`` ... inside. A fit that goes on from a checkpoint in its own place goes on
    with the files there.

    Parameters
    ----------
    folder : str or path-like
        Made if it is missing. Give each project its own.
    every : int, default=1
        Epochs from one checkpoint to the next, at least 1.
    keep : int or None, default=3
        So many of the last checkpoints stay, at least 1; None for all.
    best : bool, default=True
        Whether to keep the best epoch in ``best.npz`` as well, whatever `every` says: that of the
        highest validation score; without one, the lowest validation loss; without that, the lowest
        loss.
    name : str, default="epoch-{epoch:05d}.npz"
        Names of the files, with fields from the epoch's numbers.
    resume : bool, str or path-like, default=False
        Whether `fit` goes on from the latest checkpoint that is whole in its own place, as if it
        had never been interrupted; or a file or folder to go on from. Where there is none yet, it
        begins at the start. In `partial_fit` callbacks take no part.

    Raises
    ------
    ValueError
        In fit, if a parameter is not allowed; if the solver is "lbfgs", which cannot go on from a
        file; if the checkpoint is that of another fit, or damaged: the error says what differs.
    OSError
        In fit, if the folder cannot be made or a checkpoint cannot be written.

    See Also
    --------
    skbp.callbacks.read_state : Reads a checkpoint, or a folder's latest.
    skbp.callbacks.latest : Finds a folder's latest.

    Examples
    --------
    >>> Checkpoint("run", every=10)
    Checkpoint(every=10, folder='run')
    """

    allowed = {
        "every": Whole(1), "keep": CountOrNone(1), "best": Flag(), "name": FileName(),
        "resume": AnyOf(Flag(), PathLike()),
    }  # fmt: skip

    def __init__(
        self, folder, every=1, keep=3, best=True, name="epoch-{epoch:05d}.npz", resume=False
    ):
        self.folder = folder
        self.every = every
        self.keep = keep
        self.best = best
        self.name = name
        self.resume = resume

    def start(self, estimator, context):
        base = Path(self.folder).joinpath(*task_path(context))
        base.mkdir(parents=True, exist_ok=True)
        return Files(base)

    def state_to_resume(self, estimator, context, identity):
        memory = self._memory_of(estimator, context)
        if isinstance(self.resume, bool | np.bool_):
            source = memory.base if self.resume else None
        else:
            source = Path(self.resume)
        if source is None:
            return None
        if source.suffix != ".npz" and not source.is_file() and not newest_first(source):
            return None  # a folder to which nothing has been saved yet
        path, state = find_latest(source) if source.is_dir() else (source, read_state(source))
        if memory.has(path):
            memory.go_on(path, self._file_name)
        return state

    def on_epoch_end(self, epoch, memory, context):
        number = int(epoch["epoch"])
        if not math.isfinite(epoch["loss"]):
            return False  # nothing to go on from, and it must not push out what is
        value = signed_value(epoch)
        best = self.best and value > memory.best
        due = number % self.every == 0
        if best or due:
            state = state_of(context.training)
            with memory.folder() as home:
                if due:
                    path = home / self._file_name(epoch)
                    write_state(path, state, epoch)
                    memory.keep(path, self.keep)
                if best:
                    write_state(home / BEST, state, epoch)
                    memory.best = value
        return False

    def _file_name(self, epoch):
        try:
            return self.name.format(**epoch)
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(
                f"the name {self.name!r} of Checkpoint does not fit the epoch's numbers, which are "
                f"{', '.join(epoch)}: {error!r}"
            ) from error
