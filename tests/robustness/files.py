"""Damaged files, killed writers, hostile files: ``python tests/robustness/files.py`` prints all.

Damaged files: our model file and checkpoint, and the same network as joblib, pickle and skops write
it. Each is cut at every place, and then bits, bytes and blocks are changed. They are loaded in
processes of their own, with limits of memory and time. What may come of ours: refused, by a
ValueError that names the file; or loaded with all parts bit by bit as they were.
"""

import argparse
import io
import json
import os
import pickle
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

#: Memory beyond what a process has, in bytes, and seconds for a file.
MEMORY, SECONDS = 2**30, 20
GOOD = ("refused", "same")
OURS = ("skbp.save", "checkpoint")


# ------------------------------------------------------------ damage


def damaged(content, number):
    """Return the damaged content of a number: first each beginning, then random changes.

    Parameters
    ----------
    content : bytes
    number : int

    Returns
    -------
    content : bytes
    """
    if number < len(content):
        return content[:number]
    rng, out = np.random.default_rng(number), bytearray(content)
    size, kind = len(out), number % 8
    start, length = int(rng.integers(size)), int(2 ** rng.uniform(0, 10))
    if kind < 3:  # bits
        for place in rng.integers(0, size, [1, 2, 8][kind]):
            out[place] ^= 1 << int(rng.integers(8))
    elif kind == 3:  # a byte
        out[start] = int(rng.integers(256))
    elif kind == 4:  # a lost block
        out[start : start + length] = bytes(len(out[start : start + length]))
    elif kind == 5:  # two blocks that change places
        other = int(rng.integers(size))
        low, high = sorted((start, other))
        length = min(length, high - low, size - high)
        one, two = out[low : low + length], out[high : high + length]
        out[low : low + length], out[high : high + length] = two, one
    elif kind == 6:  # more bytes
        out[start:start] = rng.bytes(length)
    else:  # fewer
        del out[start : start + length]
    return bytes(out)


# ------------------------------------------------------------ subjects


def _net():
    from skbp import BackpropClassifier

    X = np.random.default_rng(0).normal(size=(40, 3))
    with warnings.catch_warnings(action="ignore"):
        return BackpropClassifier((4,), max_iter=3, random_state=0).fit(X, X[:, 0] > 0), X


def _state():
    from skbp._engine.checkpoint import TrainingState

    rng = np.random.default_rng(0)
    params = rng.normal(size=50)
    memory = {"name": "Adam", "steps": 9, "arrays": {"m": -params, "v": params**2}}
    return TrainingState(
        params, rng.normal(size=6), {"optimizer": memory, "loss_curve": [0.5, 0.25]},
        np.random.RandomState(0).get_state(legacy=False), order=np.arange(9),
        fingerprint={"alpha": 0.1},
    )  # fmt: skip


def packed(value):
    """Return all that is in an estimator or a state, as bytes."""
    from dataclasses import fields, is_dataclass

    from skbp._archive import Arrays
    from skbp._plain import Packer

    arrays = Arrays()
    packer = Packer(arrays.add, lambda other, where: repr(other))
    parts = value
    if is_dataclass(value):
        parts = {one.name: getattr(value, one.name) for one in fields(value)}
    told = [json.dumps(packer.pack(parts, ""))]
    for name, one in arrays.by_name.items():
        told.append((name, one.dtype.str, one.shape, one.tobytes()))
    return pickle.dumps(told)


class Subject:
    """A kind of file: how it is written and loaded, and whether what is loaded is the same."""

    def __init__(self, name, folder):
        self.name, self.path = name, Path(folder) / f"{name}.file"
        self.net, self.X = _net()
        getattr(self, "write_" + name.replace(".", "_"))()
        self.content = self.path.read_bytes()
        self.expected = packed(_state() if name == "checkpoint" else self.load(self.path))
        self.proba = self.net.predict_proba(self.X)

    def write_skbp_save(self):
        import skbp

        skbp.save(self.net, self.path, optimizer=True)

    def write_checkpoint(self):
        from skbp._engine.checkpoint import write_state

        write_state(self.path, _state(), {"epoch": 9})

    def write_joblib(self):
        import joblib

        joblib.dump(self.net, self.path)

    def write_pickle(self):
        self.path.write_bytes(pickle.dumps(self.net))

    def write_skops(self):
        import skops.io

        skops.io.dump(self.net, self.path)

    def load(self, path):
        import joblib
        import skops.io

        import skbp
        from skbp._engine.checkpoint import read_state

        own = ["skbp.estimators.classifier.BackpropClassifier"]
        loaders = {
            "skbp.save": skbp.load, "checkpoint": read_state, "joblib": joblib.load,
            "pickle": lambda path: pickle.loads(path.read_bytes()),
            "skops": lambda path: skops.io.load(path, trusted=own),
        }  # fmt: skip
        return loaders[self.name](path)

    def outcome(self, path):
        """Load a damaged file, in this process; return what came of it."""
        try:
            loaded = self.load(path)
        except MemoryError:
            return "memory"
        except Exception as error:
            if self.name not in OURS:
                return "refused"
            clean = isinstance(error, ValueError) and str(path) in str(error)
            return "refused" if clean else f"unclean: {type(error).__name__}"
        if self.name in OURS:
            same = packed(loaded) == self.expected
            if same and self.name == "skbp.save":
                same = (loaded.predict_proba(self.X) == self.proba).all()
            return "same" if same else "other weights"
        try:
            return "same" if (loaded.predict_proba(self.X) == self.proba).all() else "other"
        except Exception:
            return "loads, but predicts nothing"


# ------------------------------------------------------------ in processes


def outcomes(subject, numbers, folder):
    """Return a `Counter` of outcomes of damaged files, and the numbers of those that are not good.

    Parameters
    ----------
    subject : Subject
    numbers : sequence of int
    folder : path-like
    """
    numbers, found, bad = list(numbers), Counter(), []
    while numbers:
        done = _some(subject, numbers, Path(folder))
        for number, told in zip(numbers, done, strict=False):
            found[told] += 1
            if told not in GOOD:
                bad.append((number, told))
        numbers = numbers[len(done) :]
    return found, bad


def _some(subject, numbers, folder):
    """Return outcomes in a forked process, until it dies; then the last one says of what."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        _work(subject, numbers, folder, write)
        os._exit(0)
    os.close(write)
    with open(read) as pipe:
        done = pipe.read().splitlines()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        done.append("hang" if number == signal.SIGALRM else f"signal {number}")
    return done


def _work(subject, numbers, folder, write):
    with open("/proc/self/statm") as file:
        most = int(file.read().split()[0]) * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    path = folder / f"damaged-{subject.name}-{os.getpid()}"
    try:
        with open(os.devnull, "w") as nowhere, warnings.catch_warnings(action="ignore"):
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)  # skops has NumPy print what it could not close
            for number in numbers:
                path.write_bytes(damaged(subject.content, number))
                signal.alarm(SECONDS)
                os.write(write, f"{subject.outcome(path)}\n".encode())
    finally:
        path.unlink(missing_ok=True)


def damage(names, n, folder, step=1):
    """Yield (name, outcomes, bad) of damaged files of each kind, or of each `step`-th of them.

    Of each kind n are changed; ours are also cut at every place.
    """
    for name in names:
        subject = Subject(name, folder)
        size = len(subject.content)
        numbers = range(0 if name in OURS else size, size + n, step)
        yield name, *outcomes(subject, numbers, folder)


# ------------------------------------------------------------ kills


def _write_for_ever(name, path, number, pipe):
    """Write files, each with its number in it, and report each through a pipe."""
    import skbp
    from skbp._engine.checkpoint import write_state

    net, _ = _net()
    net.coefs_
    while True:
        if name == "checkpoint":
            state = _state()
            state.params = np.full(60_000, float(number))
            write_state(path, state, {"epoch": number})
        else:
            net.warm = np.full(60_000, float(number))
            net._network.params[...] = number
            skbp.save(net, path)
        os.write(pipe, f"{number}\n".encode())
        number += 1


def _number_of(name, path):
    """Return the number of a file, once all of it is seen to be that number's."""
    import skbp
    from skbp._engine.checkpoint import read_state

    if name == "checkpoint":
        values = read_state(path).params
    else:
        net = skbp.load(path)
        values = np.append(net.warm, net._network.params)
    assert (values == values[0]).all(), "a mixture"
    return int(values[0])


def kills(name, n, folder):
    """Kill a process that writes the same file again and again, n times; return a `Counter`."""
    folder, found, last = Path(folder), Counter(), 0
    path, rng = folder / f"killed-{name}", np.random.default_rng(0)
    for _ in range(n):
        read, write = os.pipe()
        child = os.fork()
        if not child:
            try:
                _write_for_ever(name, path, last + 1, write)
            finally:
                os._exit(1)
        os.close(write)
        with open(read) as pipe:
            lines = [pipe.readline()]
            time.sleep(rng.uniform(0, 0.01))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            lines += pipe.read().split()
        reported, before = int(lines[-1]), len(list(folder.glob(f".{path.name}.*.tmp")))
        try:
            last = _number_of(name, path)
            # The last one reported, or one after it that could not be reported any more.
            found["whole" if last in (reported, reported + 1) else "lost"] += 1
            found["the new one"] += last == reported + 1
        except Exception as error:
            found[f"unreadable: {error}"] += 1
        found["left aside"] = before
    return found


def leftovers(name, folder):
    """Return how many files aside are there: before, after a save, after one an hour later."""
    import skbp
    from skbp._engine.checkpoint import write_state

    path = Path(folder) / f"killed-{name}"

    def save():
        if name == "checkpoint":
            write_state(path, _state())
        else:
            skbp.save(_net()[0], path)
        return len(found())

    def found():
        return list(path.parent.glob(f".{path.name}.*.tmp"))

    counts = [len(found()), save()]
    for one in found():
        os.utime(one, (time.time() - 3700,) * 2)
    return *counts, save()


# ------------------------------------------------------------ the table


def main():
    """Print what came of all of it; return 1 if anything is not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, default=10_000, help="damaged files of each kind")
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--only", choices=("damage", "kills", "hostile"))
    given, failed = parser.parse_args(), False
    with tempfile.TemporaryDirectory(prefix="skbp-files-") as folder:
        if given.only in (None, "damage"):
            print("damaged files:")
            names = (*OURS, "joblib", "pickle", "skops")
            for name, found, bad in damage(names, given.n, folder):
                print(f"  {name:11s} {sum(found.values()):6d}  {_told(found)}", flush=True)
                failed |= bool(bad) and name in OURS
        if given.only in (None, "kills"):
            print("killed by SIGKILL in writing:")
            for name in OURS:
                found = kills(name, given.kills, folder)
                aside = leftovers(name, folder)
                print(f"  {name:11s} {given.kills:6d}  {_told(found)}")
                print(f"    files aside: {aside[0]}, after a save {aside[1]}, an hour later "
                      f"{aside[2]}", flush=True)  # fmt: skip
                failed |= found["whole"] != given.kills
        if given.only in (None, "hostile"):
            from robustness import hostile

            found = Counter()
            for name, told, words, _ in hostile.run(folder=folder):
                found[told] += 1
                if not hostile.good(name, told):
                    print(f"  {name}: {told} ({words:.200})")
                    failed = True
            print(f"hostile files: {sum(found.values())}  {_told(found)}")
    return int(failed)


def _told(found):
    return ", ".join(f"{what} {n}" for what, n in found.most_common())


__all__ = ["damage", "damaged", "io", "kills", "leftovers", "outcomes"]

if __name__ == "__main__":
    sys.exit(main())
