"""Plants bugs, one by one, in a copy of the package, and looks whether the tests see them.

``python -m tests.robustness.planted`` prints a table of all of `planted_bugs.py`: caught, and by
which test, or not. ``--only WORD`` takes those whose file or description has the word;
``--processes N`` runs so many at a time (default 2). ``--by FILE`` has all tried by other tests,
such as tests/test_random_parameters.py.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from .planted_bugs import BUGS

ROOT = Path(__file__).parents[2]
#: What a copy has, beside `skbp`.
COPIED = ("skbp", "tests", "docs", "conftest.py", "pyproject.toml", "README.md", "CHANGELOG.md")
#: Seconds after which tests are ended: where a bug may let them hang, it then counts as caught.
MOST_SECONDS = {True: 120, False: 600}
#: How pytest ends: all passed; some failed; a test that is named is gone; no test at all.
PASSED, FAILED, NO_SUCH_TEST, NO_TESTS = 0, 1, 4, 5


class Result(NamedTuple):
    """What became of a bug: whether it was caught, by what, and after how many seconds."""

    bug: object
    caught: bool
    by: str
    seconds: float


class StaleBugError(ValueError):
    """The text of a bug is not found, or more than once."""


def planted(bug, source):
    """Return a file's text with a bug in it.

    Raises
    ------
    StaleBugError
        If the old text does not occur just once, or the new one is the same.
    """
    found = source.count(bug.old)
    if found != 1 or bug.old == bug.new:
        raise StaleBugError(
            f"{bug.file}: the text {bug.old!r} of the planted bug {bug.breaks!r} occurs {found} "
            "times, expected 1. Change the bug along with the code."
        )
    return source.replace(bug.old, bug.new)


def copy_of_all(folder):
    """Copy what tests need into a folder; return it."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            skipped = shutil.ignore_patterns("__pycache__", "generated")
            shutil.copytree(source, folder / name, ignore=skipped)
        else:
            shutil.copy(source, folder / name)
    return folder


def try_one(bug, folder):
    """Plant a bug in a copy, run what is to catch it, and take it out again."""
    path, start = folder / bug.file, time.perf_counter()
    source = path.read_text()
    path.write_text(planted(bug, source))
    env = {**os.environ, "SKBP_KERNELS": bug.kernels, "PYTHONPATH": str(folder)}
    env |= {"PYTHONDONTWRITEBYTECODE": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "-rfE", "-p",
               "no:cacheprovider", *bug.caught_by]  # fmt: skip
    try:
        done = subprocess.run(
            command, cwd=folder, env=env, capture_output=True, text=True,
            timeout=MOST_SECONDS[bug.hangs],
        )  # fmt: skip
        caught, by = verdict(done.returncode, done.stdout + done.stderr)
    except subprocess.TimeoutExpired:
        caught, by = bug.hangs, f"no end in {MOST_SECONDS[bug.hangs]} s"
    finally:
        path.write_text(source)
    return Result(bug, caught, by, time.perf_counter() - start)


def verdict(code, output):
    """Return whether tests caught a bug, and which of them."""
    if code == PASSED:
        return False, "nothing"
    if code in (NO_SUCH_TEST, NO_TESTS):
        raise ValueError(f"there were no tests to catch it: {output[-500:]}")
    if code == FAILED:
        first = re.search(r"^(?:FAILED|ERROR) (\S+)", output, re.MULTILINE)
        return True, first[1] if first else output[-200:]
    return True, "the end of the process" if code < 0 else f"an error at import: {output[-200:]}"


def main():
    """Try all, print a table, and return whether one was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--by", action="append", default=[])
    options = parser.parse_args()
    bugs = [bug for bug in BUGS if options.only in f"{bug.file} {bug.breaks}"]
    if options.by:
        bugs = [bug._replace(caught_by=tuple(options.by)) for bug in bugs]
    for bug in bugs:  # before any of it takes time
        planted(bug, (ROOT / bug.file).read_text())
    start, copies = time.perf_counter(), SimpleQueue()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.processes):
            copies.put(copy_of_all(Path(folder) / str(number)))

        def one(bug):
            copy = copies.get()
            try:
                result = try_one(bug, copy)
            finally:
                copies.put(copy)
            mark = "caught" if result.caught else "MISSED"
            print(f"{mark}  {bug.breaks:60} {result.seconds:5.0f} s  {result.by}", flush=True)
            return result

        with ThreadPoolExecutor(options.processes) as pool:
            results = list(pool.map(one, bugs))
    missed = [result for result in results if not result.caught]
    minutes = (time.perf_counter() - start) / 60
    print(f"{len(results) - len(missed)} of {len(results)} caught, in {minutes:.1f} minutes")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
