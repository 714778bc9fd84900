"""Folders that several fits want at the same time."""

import os
import sys
from contextlib import contextmanager, suppress

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

CLAIM = ".claim"


def lock(handle):
    """Lock an open file; returns whether that went well. The lock ends with the process."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # somebody else has it, or the drive knows no locks
        return False
    return True


@contextmanager
def claimed(folder):
    """Tell whether a folder is free for a new fit, and keep others from it meanwhile.

    A file is locked while entered. One that a killed process has left means nothing: nobody has it
    locked.
    """
    path = folder / CLAIM
    handle = os.open(path, os.O_CREAT | os.O_RDWR)
    own = False
    try:
        own = lock(handle) and _is_at(handle, path)
        yield own and next(folder.glob("*.npz"), None) is None
    finally:
        if own:  # removed before others can lock it
            with suppress(OSError):  # Windows removes no open file; one that stays does no harm
                path.unlink()
        os.close(handle)


def _is_at(handle, path):
    """Whether an open file is the one at a path; its last owner may have removed it meanwhile."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False
