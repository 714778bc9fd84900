"""Runs checks, in this process or in one of their own with limits of memory and time."""

import faulthandler
import os
import pickle
import resource
import select
import signal
import time
import warnings
from dataclasses import dataclass

from .expect import GOOD, OUTCOMES, Late


@dataclass(frozen=True)
class Result:
    """What came of a check."""

    check: str
    group: str
    owner: str
    estimator: str
    subject: str
    outcome: str
    why: str
    seconds: float

    @property
    def good(self):
        return self.outcome in GOOD


def run(checks, processes=False, n_jobs=1, tell=None):
    """Run checks and return a list of `Result`, without those that have no meaning.

    Parameters
    ----------
    checks : list of Check
    processes : bool
        Whether all have processes of their own, not the risky ones alone.
    n_jobs : int
        How many of these run at a time.
    tell : callable, optional
        Is given each result as it comes.
    """
    apart = [check for check in checks if processes or check.case.risky]
    here = [check for check in checks if not (processes or check.case.risky)]
    results = []

    def keep(check, came, seconds):
        if came is None:
            return
        subject = check.subject
        assert came[0] in OUTCOMES, came
        results.append(Result(check.name, check.case.group, subject.owner, subject.estimator,
                              subject.name, *came, seconds))  # fmt: skip
        if tell:
            tell(results[-1])

    for check in here:
        start = time.perf_counter()
        keep(check, _here(check), time.perf_counter() - start)
    _run_apart(apart, n_jobs, keep)
    return results


def _here(check):
    """Run a check in this process; an alarm ends it, unless compiled code blocks."""

    def ring(*_):
        raise Late(f"not done after {check.case.seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, check.case.seconds)
        came = check()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return came


def _run_apart(checks, n_jobs, keep):
    waiting, running = list(reversed(checks)), []
    while waiting or running:
        while waiting and len(running) < n_jobs:
            running.append(Child(waiting.pop()))
        pipes = [child.pipe for child in running]
        first = min(child.deadline for child in running)
        select.select(pipes, [], [], max(0.0, min(1.0, first - time.monotonic())))
        for child in list(running):
            came = child.outcome()
            if came is not Child.RUNNING:
                running.remove(child)
                keep(child.check, came, time.monotonic() - child.start)


class Child:
    """A process for one check."""

    RUNNING = object()

    def __init__(self, check):
        self.check, self.start, self.data = check, time.monotonic(), b""
        self.deadline = self.start + check.case.seconds
        self.pipe, write = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads
            self.pid = os.fork()
        if self.pid == 0:
            os.close(self.pipe)
            _child(check, write)
        os.close(write)
        os.set_blocking(self.pipe, False)

    def outcome(self):
        """Return what came of the check, or RUNNING."""
        ended = self._read()
        if not ended:
            if time.monotonic() < self.deadline:
                return self.RUNNING
            os.killpg(self.pid, signal.SIGKILL)
            self._read()
        os.close(self.pipe)
        status = os.waitpid(self.pid, 0)[1]
        if self.data:
            return pickle.loads(self.data)
        if not ended:
            return "hang", f"not done after {self.check.case.seconds:g} s"
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        if number in (0, signal.SIGKILL):
            return "memory", f"the process ended without a word, status {status}"
        return "signal", f"the process died of {signal.Signals(number).name}"

    def _read(self):
        """Take what there is; return whether the other end is closed."""
        while True:
            try:
                data = os.read(self.pipe, 65536)
            except BlockingIOError:
                return False
            if not data:
                return True
            self.data += data


def _child(check, write):
    """Run a check in the process just forked, and end that."""
    try:
        faulthandler.disable()  # pytest's would print where each signal came
        os.setpgid(0, 0)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        limit = _address_space() + check.case.megabytes * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        came = check()
        resource.setrlimit(resource.RLIMIT_FSIZE, resource.getrlimit(resource.RLIMIT_FSIZE))
        os.write(write, pickle.dumps(came))
    except BaseException as error:
        os.write(write, pickle.dumps(("unclean exception", f"outside of the call: {error!r}")))
    finally:
        os._exit(0)


def _address_space():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()
