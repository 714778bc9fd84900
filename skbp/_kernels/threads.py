"""Shares of a batch at the same time, on as many threads as BLAS was told to use.

BLAS divides one product among its threads, which does not pay for the small ones of a time step, of
an attention head or of a row of pixels. There each thread takes some rows of the batch through the
whole network, and BLAS keeps to one thread in each. How many there are is read from BLAS, so
``OPENBLAS_NUM_THREADS``, ``threadpool_limits`` and what joblib sets for its workers hold here too.
"""

import os
import sys
import threading
from _thread import start_new_thread
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import contextmanager, suppress
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
        self.loaded = controller.dynlib
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


def loaded_libraries():
    """Return those that are loaded, as `ctypes` has them."""
    return [one.loaded for one in _libraries()]


class _Team:
    """The runs of this process that are at work, and what BLAS was told before they began.

    Only threads that no interrupt reaches change it: see `_Run`.
    """

    def __init__(self):
        self.lock = threading.Lock()
        self.at_work = 0
        self.told = {}

    def count(self):
        with self.lock:
            return min((self.told.get(one, one.number) for one in _libraries()), default=1)

    @contextmanager
    def one_thread_each(self):
        """While entered, BLAS uses one thread; the last of several to leave restores the number."""
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

    def restore(self):
        for one, number in self.told.items():
            one.tell(number)
        self.told = {}


_team = _Team()


class NoThreads(RuntimeError):
    """No more threads can be started: the system has none, or the interpreter is shutting down."""


class _Sleeper:
    """A thread that waits for calls, which take nothing and raise nothing.

    It ends when nobody holds this any more.

    Threads that are kept are woken on a processor that idles. The scheduler lets new ones queue
    behind the one that has made them, for longer than most shares of a batch take.
    """

    def __init__(self):
        inbox: SimpleQueue = SimpleQueue()
        self.call = inbox.put
        start_new_thread(_serve, (inbox.get,))

    def __del__(self, is_finalizing=sys.is_finalizing):
        if not is_finalizing():
            self.call(None)


def _serve(get):
    """Do what comes until that is None."""
    while call := get():
        call()
        del call  # it holds the caller's arrays


_asleep: deque[_Sleeper] = deque()


def _woken():
    """Return a thread that waits for a call.

    Raises
    ------
    NoThreads
    """
    if sys.is_finalizing():  # those that sleep would not wake
        raise NoThreads("the interpreter is shutting down.")
    try:
        return _asleep.pop()
    except IndexError:
        pass
    try:
        return _Sleeper()
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "new thread" not in str(error):
            raise  # that of a handler of signals
        raise NoThreads(*error.args) from None


def _start_anew():
    """Forget the threads and runs of the parent process: they do not live in a fork."""
    global _team
    _asleep.clear()
    left, _team = _team, _Team()
    left.restore()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)


class _Run:
    """Some calls at the same time, each on a thread of its own, while the caller's thread waits.

    Python raises KeyboardInterrupt in the main thread, between any two steps of it. So the caller
    does nothing but wake one thread, and wait: the first wakes the others, tells BLAS, and sets it
    back. Handing a thread its call and waiting for a queue are single steps, written in C, that an
    interrupt finds done or not begun. A thread that an interrupt leaves to nobody ends.

    Parameters
    ----------
    calls : sequence of callable
        Without arguments.

    Attributes
    ----------
    errors : dict of int to BaseException
        What calls raised, by number of the call.
    """

    def __init__(self, calls):
        self.errors = {}
        self._calls = calls
        self._contexts = [copy_context() for _ in calls]
        self._begun = []  # whether there were threads for all, once it is known that all ended
        self._ended: SimpleQueue = SimpleQueue()

    def finish(self):
        """Do all calls; returns when all have ended.

        Raises
        ------
        NoThreads
            If no call was begun, for lack of threads.
        """
        thread = _woken()
        lead, call, wait = self._lead, thread.call, self._ended.get
        try:
            call(lead)
            wait()
        except BaseException:
            # The threads have the caller's arrays. `wait` may have returned before the interrupt.
            if not self._begun:
                wait()
            raise
        _asleep.append(thread)
        if not self._begun[0]:
            raise NoThreads("the system has no threads for all shares of a batch.")

    def _lead(self):
        go: SimpleQueue = SimpleQueue()
        gone: SimpleQueue = SimpleQueue()
        others, begun, woken = range(1, len(self._calls)), False, []
        try:
            with suppress(NoThreads):
                for number in others:
                    woken.append(_woken())
                    woken[-1].call(partial(self._follow, number, go, gone))
            begun = len(woken) == len(others)
            if begun:
                with _team.one_thread_each():
                    self._start_and_wait(go, gone)
            else:
                for _ in woken:
                    go.put(False)
        except BaseException as error:
            self.errors[0] = error
            for _ in others:
                go.put(False)
        finally:
            _asleep.extend(woken)
            self._begun.append(begun)
            self._ended.put(None)

    def _start_and_wait(self, go, gone):
        for _ in self._calls[1:]:
            go.put(True)
        self._call(0)
        for _ in self._calls[1:]:
            gone.get()

    def _follow(self, number, go, gone):
        if go.get():
            self._call(number)
            gone.put(None)

    def _call(self, number):
        try:
            if number:  # for thread 0 the team has done so
                _keep_to_one_thread()
            self._contexts[number].run(self._calls[number])
        except BaseException as error:
            self.errors[number] = error


def _keep_to_one_thread():
    """Tell BLAS so, where each thread has a number of its own."""
    for one in _libraries():
        if one.per_thread:
            one.tell(1)


def _raise_first(errors):
    """Raise that of the first share; `errors` forgets it, and so keeps no frames alive."""
    if errors:
        raise errors.pop(min(errors))


def count():
    """Return the number of threads that BLAS was told to use, at least 1."""
    return _team.count()


def run(task: Callable, arguments: Sequence):
    """Call a task with each of the arguments, at the same time.

    Where no more threads can be started, the caller's thread does all, one after the other.

    Parameters
    ----------
    task : callable
        Called with one argument. Only what it does outside of the interpreter, in compiled kernels
        and NumPy's loops, is done at the same time.
    arguments : sequence
        One for each thread. A single one is for this thread, with all of BLAS's.

    Raises
    ------
    BaseException
        What a task raised, after all have ended.
    """
    if len(arguments) > 1:
        together = _Run([partial(task, argument) for argument in arguments])
        try:
            together.finish()
        except NoThreads:
            pass
        else:
            _raise_first(together.errors)
            return
    for argument in arguments:
        task(argument)


class _Stopped(Exception):
    """Another thread of the run has failed."""


class _Exchange:
    """What the threads of one run hand to each other, in rounds that all of them take part in."""

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
    NoThreads
        If no call was begun, since there are not threads for all.
    """
    exchange = _Exchange(len(arguments))

    def one(number):
        try:
            task(arguments[number], partial(exchange.gather, number))
        except _Stopped:
            pass
        except BaseException:
            exchange.stop()
            raise

    together = _Run([partial(one, number) for number in range(len(arguments))])
    together.finish()
    _raise_first(together.errors)


def even_shares(n, parts):
    """Cut n rows into so many slices, or fewer, none of them empty; one if there are no rows."""
    parts = max(1, min(parts, n))
    return [slice(n * i // parts, n * (i + 1) // parts) for i in range(parts)]
