"""Hostile files, written by hand: sound archives, whose CRC-32 and SHA-256 are right.

`CASES` are functions that write a file, by name; `run` loads each in a process of its own, with
little memory and time, and with an audit hook that tells of whatever is executed, imported or
written. What loads predicts, and trains on.
"""

import io
import json
import os
import pickle
import re
import resource
import signal
import socket
import struct
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
import zlib
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np

from robustness.forge import MODEL, description, first, npy, places, put_together, take_apart

#: Memory that loading may take beyond what the process has, in bytes; and seconds.
MEMORY, SECONDS = 300 * 2**20, 20
CASES: dict = {}


@cache
def seed(name, folder):
    """Return the path of a sound file."""
    import skbp

    path = Path(folder) / f"{name}.seed"
    with warnings.catch_warnings(action="ignore"):
        skbp.save(_estimator(name), path, optimizer=True)
    return path


def _estimator(name):
    from _fitted import CODES, FITTED, LABELS, TABLE, X, classifier, layered
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    from skbp.layers import Dense, Embedding, PositionalEncoding, SequencePool
    from skbp.tabular import RealMLP, TabularClassifier

    known = {
        "net": "classifier", "members": "classifier of members", "regressor": "regressor",
        "sequences": "sequences", "conformal": "conformal classifier", "dates": "date parts",
        "codes of columns": "category codes", "quantiles": "quantiles", "towers": "two towers",
        "ratings": "ratings", "nearest": "nearest examples", "surge": "surge",
        "reject": "reject option", "symbols": "sequence model", "text": "text model",
        "features": "hidden features",
    }  # fmt: skip
    if name in known:
        return FITTED[known[name]][0]()
    if name == "codes":
        return layered(Embedding(6, 4), SequencePool("mean")).fit(CODES, LABELS[:20])
    if name == "positions":
        layers = Embedding(6, 4), PositionalEncoding(), SequencePool("mean")
        return layered(*layers).fit(CODES, LABELS[:20])
    if name == "table":
        preset = RealMLP(hidden_layer_sizes=(8,), max_iter=2, n_members=2)
        return TabularClassifier(preset, random_state=0).fit(TABLE, LABELS)
    if name == "pipeline":
        return make_pipeline(StandardScaler(), FunctionTransformer(np.exp), classifier()).fit(
            X, LABELS
        )
    if name == "search":
        return GridSearchCV(classifier(), {"alpha": [0.0, 1.0]}, cv=2).fit(X, LABELS)
    assert name == "untrained"
    return layered(Dense(4))


def case(seed_name="net", loads=False):
    """Decorate a function of (content, arrays, path) that changes, or writes, a file.

    What it returns goes to `put_together` as keywords; None, if it has written the file. `loads`
    says that the file may load, as what is odd in it does no harm.
    """

    def named(function):
        name = function.__name__.lstrip("_").replace("_", " ")
        assert name not in CASES, name
        CASES[name] = seed_name, function, loads
        return function

    return named


def several(names, seed_name, change, what, loads=False):
    """Add a case for each of some values: `change` gets content, arrays and the value."""
    for name, value in names.items():

        def function(content, arrays, path, value=value):
            change(content, arrays, value)
            return {}

        CASES[f"{what}: {name}"] = seed_name, function, loads


def write(name, path, folder):
    """Write the file of a case."""
    seed_name, function, _ = CASES[name]
    content, arrays = take_apart(seed(seed_name, str(folder)))
    keywords = function(content, arrays, path)
    if keywords is not None:
        put_together(path, content, arrays, **keywords)


# ------------------------------------------------------------ running


class Watch:
    """An audit hook that notes what loading must not do."""

    #: Events of the standard library that nothing but code of the file's could need.
    NEVER = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "socket.",
             "os.remove", "os.rename", "os.mkdir", "os.rmdir", "shutil.", "ctypes.dlopen",
             "pickle.find_class", "os.putenv", "os.chmod", "os.link", "os.symlink")  # fmt: skip
    #: Modules that loading imports, and what these import.
    MODULES = ("skbp", "numpy", "scipy", "sklearn", "skops", "joblib", "json", "zipfile", "_",
               "tokenizers", "pandas", "numba", "llvmlite")  # fmt: skip

    def __init__(self):
        self.on, self.seen, self.compiled = False, [], 0

    def __call__(self, event, arguments):
        if not self.on:
            return
        if event.startswith(self.NEVER):
            self.seen.append(f"{event} {arguments!r:.100}")
        elif event == "open" and isinstance(arguments[0], str):
            mode, flags = arguments[1] or "r", arguments[2] or 0
            inside = "__pycache__" in arguments[0]
            if (set(mode) & set("wax+") or flags & (os.O_WRONLY | os.O_RDWR)) and not inside:
                self.seen.append(f"open {arguments[0]!r} for writing")
        elif event == "exec" or (event == "compile" and arguments[1] != "<unknown>"):
            # ("<unknown>" is what `inspect` reads of the signatures of built-in functions.)
            # Those of modules that are imported are told by their files.
            code = arguments[1] if event == "compile" else getattr(arguments[0], "co_filename", "")
            if not str(code).startswith((sys.prefix, sys.base_prefix, str(HOME), "<frozen")):
                self.seen.append(f"{event} of {code!r:.100}")


HOME = Path(__file__).parents[2]


def use(model):
    """Predict, and train on; exceptions that say why are fine."""
    from _fitted import CODES, LABELS, PAIRS, TABLE, TEXTS, X

    rows = [X, CODES, TABLE, TEXTS, PAIRS, TABLE[["text", "whole", "category"]], TABLE[["date"]]]
    done = 0
    for some in rows:
        for method in ("predict", "predict_proba", "transform", "predict_set", "recommend"):
            if hasattr(type(model), method):
                try:
                    getattr(model, method)(some)
                    done += 1
                except Exception:
                    continue
        if hasattr(model, "partial_fit"):
            try:
                model.partial_fit(some, LABELS[: len(some)])
                done += 1
            except Exception:
                continue
    return done


def outcome(path, load, used=use):
    """Return (outcome, words): "refused", "loaded", or what must not be; in this process."""
    watch = Watch()
    sys.addaudithook(watch)
    with open("/proc/self/statm") as file:
        taken = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
    signal.alarm(SECONDS)
    watch.on, start = True, time.process_time()
    try:
        with warnings.catch_warnings(action="ignore"):
            model = load(path)
    except (ValueError, OSError) as error:
        watch.on = False
        named = Path(path).name in str(error)
        found = ("refused" if named else "names no file", f"{type(error).__name__}: {error}")
    except BaseException as error:
        watch.on = False
        frame = traceback.extract_tb(error.__traceback__)[-1]
        found = "unclean", f"{type(error).__name__}: {error} ({frame.filename}:{frame.lineno})"
    else:
        watch.on = False
        with warnings.catch_warnings(action="ignore"):
            found = "loaded", f"{used(model)} calls of it went well"
    if watch.seen:
        found = "executed", "; ".join(watch.seen[:3])
    return *found, time.process_time() - start


def run_one(path, load):
    """Return the outcome in a forked process: also "signal 11", "hang"."""
    read, writes = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        try:
            told = outcome(path, load)
        except BaseException as error:
            told = "unclean", repr(error), 0.0
        with open(writes, "wb") as pipe:
            pickle.dump(told, pipe)
        os._exit(0)
    os.close(writes)
    with open(read, "rb") as pipe:
        content = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return ("hang" if number == signal.SIGALRM else f"signal {number}"), "", 0.0
    return pickle.loads(content)


def loader(name):
    """Return what loads the file of a case."""
    import skbp
    from skbp._engine.checkpoint import read_state
    from skbp._plain import ROOMS

    for room in ROOMS:  # so that the hook does not see them
        import_module(f"skbp.{room}")
    return read_state if name.startswith("checkpoint") else skbp.load


def good(name, told):
    """Whether the outcome of a case is as it must be."""
    return told == "refused" or (told == "loaded" and CASES[name][2])


def run(names=None, folder=None):
    """Yield (name, outcome, words, CPU seconds) of each case."""
    from robustness import hostile_files  # noqa: F401  (the cases)

    folder = Path(folder or tempfile.mkdtemp(prefix="skbp-hostile-"))
    for name in names or list(CASES):
        path = folder / f"hostile-{list(CASES).index(name)}.skbp"
        write(name, path, folder)
        yield name, *run_one(path, loader(name))
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)


__all__ = ["CASES", "MODEL", "case", "description", "first", "io", "json", "npy", "places", "re",
           "run", "several", "socket", "struct", "zipfile", "zlib"]  # fmt: skip
