"""Memory, files, interrupts: what the machine does not give."""

import os
import random
import resource
import signal
import tempfile
from pathlib import Path

import numpy as np

from skbp.callbacks import Checkpoint, TrainingCache

from ..expect import either, gives, raises
from ..helpers import unchanged
from ..oracles import anything, equal, finite
from ..registry import NotMeant, case, cases
from ..state import State

SKBP = "table stochastic skbp"


def with_little_memory(megabytes):
    """Allow this process, which is a check's own, so much more address space."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + megabytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


def with_memory():
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


SIZES = {"100 million": (10_000, 10_000), "10**12": (10**6, 10**6), "10**17": (10**17,)}


TOO_LARGE = raises("memory|allocate|large|hidden", error=(MemoryError, ValueError))


@cases("too little memory", {f"hidden units, {name}": (sizes, TOO_LARGE)
       for name, sizes in SIZES.items()}, on="table", risky=True)  # fmt: skip
def hidden_units(net, sizes):
    model = net.fitted()
    before = np.asarray(net.use(model))
    model.set_params(**net.translated({"hidden_layer_sizes": sizes}))
    with_little_memory(300)
    try:
        with unchanged(model):
            net.fit(model)
    finally:
        with_memory()
        equal((net.use(model), before))


@case("too little memory", "rows of 400 MB to predict in 200 MB", either(error=MemoryError,
      oracle=finite), on="numeric", risky=True, slow=True)  # fmt: skip
def to_predict(net):
    model, rows = net.fitted(), np.zeros((16_000_000, 3), np.float64)
    with_little_memory(200)
    try:
        return net.use(model, rows)[:9]
    finally:
        with_memory()


@case("too little memory", "early stopping on 400 MB in 150 MB", either(error=MemoryError,
      oracle=finite), on=SKBP, risky=True, slow=True)  # fmt: skip
def to_fit(net):
    rows = np.zeros((2_000_000, 3))
    y = np.arange(len(rows)) % 2
    model = net.make(early_stopping=True, max_iter=1, batch_size=100_000)
    with_little_memory(20)
    try:
        with unchanged(model):
            net.fit(model, rows, y)
    finally:
        with_memory()
    return net.use(model)


def folder():
    return Path(tempfile.mkdtemp())


def under_a_file():
    path = folder() / "file"
    path.write_text("")
    return path / "folder"


WRITERS = {"Checkpoint": Checkpoint, "TrainingCache": TrainingCache}
PLACES = {
    "under a file": under_a_file,
    "under /proc": lambda: Path("/proc/skbp"),
    "under /dev/null": lambda: Path("/dev/null/x"),
    "a name of 300 letters": lambda: folder() / ("a" * 300),
}
for _writer, _make in WRITERS.items():
    for _place, _where in PLACES.items():

        @case("places without write access", f"{_writer} {_place}",
              raises("directory|write|long|exist|file|permission", error=(OSError, ValueError)),
              on=SKBP, risky=True)  # fmt: skip
        def no_access(net, make=_make, where=_where):
            model = net.make().set_callbacks(make(where()))
            with unchanged(model):
                net.fit(model)


@cases("a full disk", {name: (make, either("large|space|write", error=OSError, oracle=finite))
                       for name, make in WRITERS.items()}, on=SKBP, risky=True)  # fmt: skip
def full_disk(net, make):
    place = folder()
    whole = net.make(hidden_layer_sizes=(100,), max_iter=2).set_callbacks(make(place))
    net.fit(whole)
    kept = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    model = net.make(hidden_layer_sizes=(100,)).set_callbacks(make(place))
    soft = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, soft[1]))
    try:
        with unchanged(model):
            net.fit(model)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, soft)
        for path, content in kept.items():
            if path.suffix == ".npz" and path.exists():
                assert path.read_bytes() == content, f"{path.name} was damaged"
        assert not list(place.rglob("*.npz.tmp")), "half a file was left"
    return net.use(model)


def interrupted(net, n, jobs, after=lambda: None):
    """Interrupt jobs n times at random moments; return how often that came through.

    Jobs are calls of the estimator and nothing else: NumPy's own functions, interrupted, may leave
    its settings changed. `after` looks at what each left.
    """
    armed = [False]

    def ring(*_):
        if armed[0]:
            armed[0] = False
            raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, ring)
    handler, before = signal.getsignal(signal.SIGINT), State.now()
    times, hits, rng = [], 0, random.Random(0)
    for job in jobs:
        start = os.times().elapsed
        for _ in range(5):
            job()
        times.append(max(1e-3, (os.times().elapsed - start) / 5))
    for number in range(n):
        job, seconds = jobs[number % len(jobs)], times[number % len(jobs)]
        try:
            armed[0] = True
            signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-5, seconds))
            job()
            armed[0] = False
        except KeyboardInterrupt:
            hits += 1
        armed[0] = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        after()
        assert signal.getsignal(signal.SIGINT) is handler, "Ctrl-C goes elsewhere"
        changed = State.now().differs_from(before)
        assert not changed, f"{changed} changed"
    return hits


@case("interrupts at random", "300 in predict", gives(equal), on="table", risky=True,
      seconds=300)  # fmt: skip
def in_predict(net):
    model = net.fitted()
    before = np.asarray(net.use(model))
    rows = np.tile(net.X, (200, 1))
    assert interrupted(net, 300, [lambda: model.predict(rows)]) > 20, "hardly one came through"
    return net.use(model), before


@case("interrupts at random", "300 in fit", gives(equal), on="table seeded", risky=True,
      seconds=300)  # fmt: skip
def in_fit(net):
    before, model = net.reference, net.fitted()
    X, y = net.X, net.y
    interrupted(net, 300, [lambda: model.fit(X, y)], after=lambda: finite(net.use(model)))
    net.fit(model)
    return net.use(model), before


@case("interrupts at random", "300 in fit and predict of networks", gives(equal), on="network",
      risky=True, seconds=300)  # fmt: skip
def in_networks(net):
    before, model = net.reference, net.fitted()
    other = net.make()
    interrupted(net, 300, [lambda: model.predict(net.X), lambda: other.fit(net.X, net.y)])
    equal((net.use(model), before))
    return net.use(net.fit(model)), before


@case("interrupts at random", "200 in partial_fit: all of it or nothing", gives(anything),
      on="table adam skbp", risky=True, seconds=300)  # fmt: skip
def in_pieces(net):
    if "regressor" in net.roles and net.owner != "skbp":
        raise NotMeant
    model = net.fitted()

    seen = {}

    def whole():
        """The weights are those of a whole number of pieces: what counted them tells which."""
        found = [np.array(one) for one in model.coefs_]
        for one, other in zip(found, seen.setdefault(model.t_, found), strict=True):
            equal((one, other))
        assert model.t_ % len(net.X) == 0, "half a piece counted"

    interrupted(net, 200, [lambda: model.partial_fit(net.X, net.y)], after=whole)
    finite(net.use(model))
