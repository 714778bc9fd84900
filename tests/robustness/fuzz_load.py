"""Coverage-guided fuzzing of `skbp.load`: ``python tests/robustness/fuzz_load.py --seconds 600``.

Needs atheris (``pip install atheris``). An example is a sound file of a seed model whose JSON and
arrays are changed, with all CRC-32 and SHA-256 right again: so what is tried is what comes after
them. The fuzzer's bytes choose the changes. A finding is any exception of load but a ValueError
that names the file; any warning that is none of skbp's; a call that takes more than 10 s; a process
that dies. What loads predicts, and trains on: there exceptions are counted by kind, as hostile
weights are the caller's business, and anything that is no exception is a finding.
"""

import argparse
import collections
import copy
import faulthandler
import os
import pickle
import resource
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

GIB = 2**30
#: Seeds that take longer than all else are left out.
LARGEST_SEED = 500_000
INTERESTING = (
    None, True, False, 0, 1, -1, 2, 7, 10**9, 2**31, 2**63, 10**30, 0.5, -1e300, "", "adam", "relu",
    "a" * 300, [], {}, [[]], {"$tuple": []}, {"$float": "nan"}, {"$same": 0}, {"$same": 3},
    {"$dtype": "<f4"}, {"$tuple": [3]}, {"$tuple": [1000000000, 8]}, {"$set": [1]},
    {"$bytes": "AAAA"}, {"$slice": [0, 1, None]}, {"$objects": [1, "a"], "shape": [2]},
)  # fmt: skip
INSTRUMENTED = [
    "skbp._plain", "skbp._archive", "skbp._component", "skbp._forms", "skbp._engine.network",
    "skbp.persistence", "skbp.estimators", "skbp.preprocessing", "skbp.recommendation",
    "skbp.uncertainty",
]  # fmt: skip
DTYPES = ("<f4", "<f8", ">f8", "<i4", "<i8", "|u1", "|b1", "<c16", "<U3", "<M8[D]")


def seeds():
    """Return a list of (name, content, arrays, rows, target)."""
    from _fitted import FITTED, LABELS

    import robustness.forge as forge
    import skbp

    found = []
    for name, (make, rows, _) in FITTED.items():
        with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
            warnings.simplefilter("ignore")
            skbp.save(make(), f"{folder}/a", optimizer=True)
            if os.path.getsize(f"{folder}/a") < LARGEST_SEED:
                found.append((name, *forge.take_apart(f"{folder}/a"), rows, LABELS))
    return found


class Changes:
    """Changes a file as the fuzzer's bytes say."""

    def __init__(self, given, models):
        self.given, self.models = given, models

    def index(self, n):
        return self.given.ConsumeIntInRange(0, n - 1)

    def model(self):
        name, content, arrays, rows, labels = self.models[self.index(len(self.models))]
        return name, copy.deepcopy(content), dict(arrays), rows, labels

    def change(self, content, arrays, other):
        from robustness.forge import places

        what = self.index(10)
        nodes = places(content["model"])
        node = nodes[self.index(len(nodes))]
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if what == 0 and arrays:
            self.change_array(arrays)
        elif what == 1 and keys:
            del node[keys[self.index(len(keys))]]
        elif what == 2 and isinstance(node, dict):
            node[self.name(content)] = self.value(other)
        elif what == 3 and isinstance(node, list):
            node.append(self.value(other))
        elif what == 4 and keys:  # a part of this file, or of another
            source = places((content if self.index(2) else other)["model"])
            node[keys[self.index(len(keys))]] = copy.deepcopy(source[self.index(len(source))])
        elif what == 5 and "$kind" in node:
            kinds = places(other["model"]) + nodes
            kinds = [one["$kind"] for one in kinds if isinstance(one, dict) and "$kind" in one]
            node["$kind"] = kinds[self.index(len(kinds))]
        elif what == 6 and "$array" in node and arrays:
            node["$array"] = list(arrays)[self.index(len(arrays))]
        elif keys:
            key = keys[self.index(len(keys))]
            old = node[key]
            if isinstance(old, int) and not isinstance(old, bool) and self.index(2):
                node[key] = old + self.given.ConsumeIntInRange(-3, 3)
            else:
                node[key] = self.value(other)

    def name(self, content):
        from robustness.forge import places

        names = [key for one in places(content["model"]) if isinstance(one, dict) for key in one]
        names += ["predict", "__class__", "__dict__", "_parts", "allowed", "n_features_in_"]
        return names[self.index(len(names))]

    def value(self, other):
        from robustness.forge import places

        if self.index(3):
            return copy.deepcopy(INTERESTING[self.index(len(INTERESTING))])
        found = places(other["model"])
        return copy.deepcopy(found[self.index(len(found))])

    def change_array(self, arrays):
        import numpy as np

        name = list(arrays)[self.index(len(arrays))]
        array, what = arrays[name], self.index(6)
        if what == 0:
            array = array[: self.index(len(array) + 1)] if array.ndim else array
        elif what == 1:
            array = np.concatenate([array.ravel()] * 2)[: array.size + self.index(array.size + 1)]
        elif what == 2:
            try:
                array = array.astype(DTYPES[self.index(len(DTYPES))])
            except (ValueError, TypeError):
                return
        elif what == 3 and array.size and array.dtype.kind in "iufb":
            array = array.copy()
            extreme = (0, 1, -1, 2**31 - 1, -(2**31), 2**62, 1e308, float("nan"), float("inf"))
            try:
                array.flat[self.index(array.size)] = extreme[self.index(len(extreme))]
            except (OverflowError, ValueError):
                return
        elif what == 4:
            array = array.reshape((1, *array.shape)) if self.index(2) else array.ravel()
        elif array.nbytes:
            content = bytearray(array.tobytes())
            content[self.index(len(content))] ^= 1 << self.index(8)
            array = np.frombuffer(bytes(content), array.dtype).reshape(array.shape)
        arrays[name] = array


class Target:
    """One example after the other, and what came of them."""

    def __init__(self, models, folder):
        self.models, self.path = models, Path(folder) / "fuzzed.skbp"
        self.counts: collections.Counter = collections.Counter()
        self.findings: dict[str, str] = {}

    def __call__(self, data):
        import atheris

        from robustness import forge

        changes = Changes(atheris.FuzzedDataProvider(data), self.models)
        name, content, arrays, rows, labels = changes.model()
        other = changes.model()[1]
        for _ in range(1 + changes.index(6) // 4):
            changes.change(content, arrays, other)
        try:
            forge.put_together(self.path, content, arrays)
        except (ValueError, TypeError, RecursionError):
            return
        signal.alarm(10)
        try:
            self.load_and_use(name, rows, labels)
        finally:
            signal.alarm(0)

    def load_and_use(self, name, rows, labels):
        import skbp

        self.counts["tried"] += 1
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = skbp.load(self.path)
        except ValueError as error:
            self.counts["refused"] += 1
            if str(self.path) not in str(error):
                self.find(error, "names no file")
            return
        except BaseException as error:
            self.find(error, "load")
            return
        self.counts["loaded"] += 1
        uses = ("predict", "transform", "predict_interval", "predict_set", "recommend")
        for use in uses:
            if hasattr(type(model), use):
                self.use(name, lambda use=use: getattr(model, use)(rows))
        if hasattr(model, "partial_fit"):
            self.use(name, lambda: model.partial_fit(rows, labels[: len(rows)]))
        self.use(name, lambda: repr(model))

    def use(self, name, call):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                call()
            self.counts["used"] += 1
        except (ValueError, TimeoutError, MemoryError) as error:
            self.counts[type(error).__name__ + " in use"] += 1
        except Exception as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{type(error).__name__} in use, {name}: {Path(frame.filename).name}"
            self.counts[f"{place}:{frame.lineno} {str(error)[:60]}"] += 1

    def find(self, error, where):
        frames = traceback.extract_tb(error.__traceback__)[-2:]
        places = " < ".join(f"{Path(one.filename).name}:{one.lineno}" for one in frames)
        key = f"{where}: {type(error).__name__} at {places}"
        self.counts["findings"] += 1
        if key not in self.findings:
            kept = self.path.with_name(f"finding-{len(self.findings)}.skbp")
            kept.write_bytes(self.path.read_bytes())
            self.findings[key] = f"{str(error)[:200]} ({kept.name})"


def late(*_):
    raise TimeoutError("more than 10 s")


def fuzz(seconds, folder, corpus, report):
    """Fuzz in this process; write what came of it as it goes."""
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED):
        import skbp.text  # noqa: F401
    models = seeds()
    resource.setrlimit(resource.RLIMIT_AS, (4 * GIB, 4 * GIB))
    signal.signal(signal.SIGALRM, late)
    faulthandler.enable()
    target = Target(models, folder)

    def one(data):
        target(data)
        if target.counts["tried"] % 100 == 0:
            report.write_bytes(pickle.dumps((target.counts, target.findings)))

    options = [sys.argv[0], f"-max_total_time={seconds}", "-max_len=400", "-rss_limit_mb=0",
               "-handle_alrm=0", "-print_final_stats=1", "-verbosity=0", str(corpus)]  # fmt: skip
    atheris.Setup(options, one)
    atheris.Fuzz()


def main():
    """Run the fuzzer in a process of its own, anew when it dies; print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--folder", type=Path, help="for the corpus and what is found")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="skbp-fuzz-"))
    corpus, report = folder / "corpus", folder / "report"
    corpus.mkdir(parents=True, exist_ok=True)
    if given.worker:
        fuzz(given.seconds, folder, corpus, report)
        return 0
    report.unlink(missing_ok=True)
    command = [sys.executable, __file__, "--worker", "--folder", str(folder)]
    with open(folder / "log", "wb") as log:
        command += ["--seconds", str(given.seconds)]
        done = subprocess.run(command, check=False, stderr=log)
    counts, findings = pickle.loads(report.read_bytes())
    for what, n in counts.most_common():
        print(f"{n:8d}  {what}")
    for what, told in findings.items():
        print(f"FINDING {what}: {told}")
    print(f"the process ended with {done.returncode}; all is in {folder}")
    return int(bool(findings) or done.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
