"""Shares of a batch at the same time, on as many threads as BLAS was told to use.

BLAS divides one product among its threads, which does not pay for the small ones of a time step, of
an attention head or of a row of pixels. There each thread takes some rows of the batch through the
whole network, and BLAS keeps to one thread in each. How many there are is read from BLAS, so
``OPENBLAS_NUM_THREADS``, ``threadpool_limits`` and what joblib sets for its workers hold here too.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import copy_context
from functools import cache, partial
from itertools import product
from queue import SimpleQueue

from threadpoolctl import ThreadpoolController


class _Library:
    """A BLAS library, and the number of threads it uses.

    `per_thread` says that each thread has a number of its own, as with OpenMP; else the process has
    one. OpenBLAS is told directly, since threadpoolctl lets only one of a process's threads do it.
    """

    def __init__(self, controller):
        self._controller = controller
        self.per_thread = getattr(controller, "threading_layer", None) == "openmp"
        self.tell = controller.set_num_threads
        names = (
            f"{prefix}openblas_set_num_threads{suffix}"
            for prefix, suffix in product(("", "scipy_"), ("", "64_", "_64"))
        )
        found = [name for name in names if hasattr(controller.dynlib, name)]
        if found and not self.per_thread:
            self.tell = getattr(controller.dynlib, found[0])

    @property
    def number(self):
        return self._controller.num_threads or 1


@cache
def _libraries():
    """Return those that are loaded: NumPy and SciPy each have one."""
    return [_Library(one) for one in ThreadpoolController().select(user_api="blas").lib_controllers]


class _Team:
    """The threads of this process, and what BLAS was told before they began."""

    def __init__(self):
        self.lock = threading.Lock()
        self.pool = None
        self.at_work = 0
        self.told = {}

    def count(self):
        with self.lock:
            return min((self.told.get(one, one.number) for one in _libraries()), default=1)

    @contextmanager
    def one_thread_each(self):
        """While entered, BLAS uses one thread; the last of several to leave restores the number."""
        own = {one: one.number for one in _libraries() if one.per_thread}
        with self.lock:
            self.at_work += 1
            if self.at_work == 1:
                self.told = {one: one.number for one in _libraries() if not one.per_thread}
            for one in _libraries():
                one.tell(1)
        try:
            yield
        finally:
            with self.lock:
                self.at_work -= 1
                if not self.at_work:
                    self.restore()
            for one, number in own.items():
                one.tell(number)

    def restore(self):
        for one, number in self.told.items():
            one.tell(number)
        self.told = {}

    def submit(self, task, *args):
        with self.lock:
            if self.pool is None:
                self.pool = ThreadPoolExecutor(os.cpu_count(), "skbp", _keep_to_one_thread)
        return self.pool.submit(copy_context().run, task, *args)


def _keep_to_one_thread():
    """Begin a thread of the pool, whose own number of BLAS threads, if it has one, stays at one."""
    for one in _libraries():
        if one.per_thread:
            one.tell(1)


_team = _Team()


def _start_anew():
    """Forget the threads of the parent process: they do not live in a fork."""
    global _team
    left, _team = _team, _Team()
    left.restore()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)


def count():
    """Return the number of threads that BLAS was told to use, at least 1."""
    return _team.count()


def run(task: Callable, arguments: Sequence):
    """Call a task with each of the arguments, at the same time.

    Parameters
    ----------
    task : callable
        Called with one argument. Only what it does outside of the interpreter, in compiled kernels
        and NumPy's loops, is done at the same time.
    arguments : sequence
        One for each thread. A single one is for this thread, with all of BLAS's.

    Raises
    ------
    Exception
        What a task raised, after all have ended.
    """
    first, *rest = arguments
    if not rest:
        task(first)
        return
    with _team.one_thread_each():
        others = [_team.submit(task, argument) for argument in rest]
        try:
            task(first)
        finally:
            wait(others)
        for other in others:
            other.result()


class _Stopped(Exception):
    """Another thread of the run has failed."""


class _Exchange:
    """What the threads of one run hand to each other, in rounds that all of them take part in.

    Inboxes are queues written in C: an interrupt cannot leave one locked.
    """

    def __init__(self, n_threads):
        self._inboxes: list[SimpleQueue] = [SimpleQueue() for _ in range(n_threads)]
        # A sender may be one round ahead: what came is kept for each of them.
        self._received: list[list[deque]] = [
            [deque() for _ in self._inboxes] for _ in self._inboxes
        ]

    def gather(self, number, own):
        """Hand in something for thread `number`; return what all handed in, in their order."""
        for inbox in self._inboxes:
            inbox.put((number, own))
        received = self._received[number]
        while not all(received):
            sender, item = self._inboxes[number].get()
            if sender is None:
                raise _Stopped
            received[sender].append(item)
        return [items.popleft() for items in received]

    def stop(self):
        """Let all that wait, or will, raise `_Stopped`."""
        for inbox in self._inboxes:
            inbox.put((None, None))


def run_together(task: Callable, arguments: Sequence):
    """Call a task with each of the arguments, where the calls wait for each other.

    Each has a thread that it does not share with other runs, so that all get on.

    Parameters
    ----------
    task : callable
        Called with an argument, and a function ``gather(own)`` that waits for all calls to hand in
        something of their own, and returns a list of these.
    arguments : sequence
        One for each thread.

    Raises
    ------
    BaseException
        What a task raised, after all have ended.
    """
    exchange, errors = _Exchange(len(arguments)), []

    def one(number):
        try:
            task(arguments[number], partial(exchange.gather, number))
        except _Stopped:
            pass
        except BaseException as error:
            errors.append(error)
            exchange.stop()

    def another(number):
        _keep_to_one_thread()
        one(number)

    with _team.one_thread_each():
        others = [
            threading.Thread(
                target=copy_context().run, args=(another, number), name="skbp", daemon=True
            )
            for number in range(1, len(arguments))
        ]
        try:
            for other in others:
                other.start()
            one(0)
        except BaseException:  # between the lines above: the others must not wait for ever
            exchange.stop()
            raise
        finally:
            for other in others:
                if other.ident is not None:
                    other.join()
    if errors:
        raise errors[0]


def even_shares(n, parts):
    """Cut n rows into so many slices, or fewer, none of them empty; one if there are no rows."""
    parts = max(1, min(parts, n))
    return [slice(n * i // parts, n * (i + 1) // parts) for i in range(parts)]
