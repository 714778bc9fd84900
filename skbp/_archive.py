"""Archives of arrays: files that are either complete or not there, and name no code.

An archive is an ``.npz`` file: one ``.npy`` member an array, stored uncompressed at multiples of 64
bytes, and one member of JSON with everything else. Each member has a CRC-32, each array
its SHA-256 too. One writer and one reader serve models and checkpoints.
"""

import errno
import hashlib
import io
import json
import math
import mmap
import os
import re
import shutil
import stat
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from glob import escape
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import numpy as np

from skbp._plain import PLAIN_DTYPES

#: Arrays begin at multiples of so many bytes, as in files that NumPy itself writes.
ALIGNMENT = 64
#: Number of a ZIP member's extra field that holds nothing but zeros; as in Android's zipalign.
PADDING_FIELD = 0xD935
#: Bytes that are read, or compared, at a time.
CHUNK = 1 << 20
#: Most bytes of the header of an array, as in NumPy.
MAX_HEADER = 10_000
#: Most bytes of the list of members, and most arrays: 200 bytes tell of each, with its alignment.
MAX_DIRECTORY, MAX_ARRAYS = 2**24, 50_000
#: Most bytes of the JSON member.
MAX_CONTENT = 2**28
#: Arrays may stand in several places of the content; so many times the file's size in all.
MAX_SHARED = 100
#: A file aside that nobody has written to for so many seconds was left by a process that died.
ABANDONED = 3600
#: Names of arrays: no paths.
NAME = re.compile(r"[\w.\[\]-]{1,120}")
#: The header of an array as NumPy writes it; nothing of it is evaluated.
HEADER = re.compile(
    r"\{'descr': ('[<>|][" + PLAIN_DTYPES + r"]\d{1,9}(?:\[\w{1,9}\])?'"
    r"|\[(?:\('\w{1,30}', '[<>|][biuf]\d{1,9}'\),? ?)+\]), "
    r"'fortran_order': (True|False), 'shape': \(((?:\d{1,19}(?:, |,?(?=\))))*)\), \} *\n"
)


class Kind(NamedTuple):
    """A kind of archive.

    what : in words, for messages; format, version : what the JSON member says of it; member : that
    member's name; advice : what to do if a file is damaged.
    """

    what: str
    format: str
    version: int
    member: str
    advice: str


#: What to do about errors in writing.
ADVICE = {
    errno.ENOENT: "Make the folder first, or choose a folder that is there.",
    errno.ENAMETOOLONG: "Give a shorter name.",
    None: "Free some space on the disk, or choose a folder that can be written to.",
}
#: What reads whole files of a kind, by its name: the rooms above put it here.
READERS: dict[str, Callable] = {}
#: What goes through a `Reader` as it is: it is not the file's fault.
NOT_THE_FILE = (MemoryError, ImportError)


class Later(ValueError):
    """A file whose format is of a later version."""


class Arrays:
    """The arrays of an archive that is to be written; each of them once.

    Attributes
    ----------
    by_name : dict of str to ndarray
    """

    def __init__(self):
        self.by_name: dict[str, np.ndarray] = {}
        self._names: dict[tuple, str] = {}
        self._n_alike = 0

    def add(self, array, where):
        """Take an array down; return its name: the same for arrays that are the same memory."""
        if array.itemsize == 0:  # texts, all of them empty
            array = array.astype(f"{array.dtype.kind}1")
        start = array.__array_interface__["data"][0]
        key = (start, array.shape, array.strides, array.dtype.str) if array.size else (id(array),)
        if key not in self._names:
            name = stem = re.sub(r"[^\w.\[\]-]", "_", where)[:100]
            while name in self.by_name:
                self._n_alike += 1
                name = f"{stem}-{self._n_alike}"
            self._names[key], self.by_name[name] = name, array
        return self._names[key]


# ------------------------------------------------------------ writing


def write_archive(path, kind, content, arrays):
    """Write an archive so that at each moment `path` is the old file, or the new one, whole.

    The file is written aside in the same folder, flushed to the disk and renamed; the folder is
    flushed too, so that the file survives a power failure once this has returned. What a process
    that was killed has left aside is removed when it is an hour old.

    Parameters
    ----------
    path : str or path-like
        The file, or a link to it.
    kind : Kind
    content : dict
        What JSON can hold.
    arrays : dict of str to ndarray
        Arrays of numbers, texts or dates.

    Raises
    ------
    OSError
        If the file cannot be written (disk full, folder read-only or missing). What was written of
        it is removed; other files are untouched.
    """
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        code = errno.EISDIR if path.is_dir() else errno.EINVAL
        what = f"could not write the {kind.what} {path}"
        raise OSError(code, f"{what}: it is no ordinary file. Give the name of one, or a new name.")
    aside = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        with open(aside, "xb") as file:
            _write_members(file, kind, content, arrays)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):
            shutil.copymode(path, aside)
        os.replace(aside, path)
        _sync_folder(path.parent)
        _clear_away(path)
    except BaseException as error:
        with suppress(OSError):
            aside.unlink()
        if isinstance(error, OSError):
            raise OSError(
                error.errno,
                f"could not write the {kind.what} {path}: {error.strerror or error}. "
                f"{ADVICE.get(error.errno, ADVICE[None])} Earlier {kind.what}s are untouched.",
            ) from error
        raise


def _clear_away(path):
    """Remove what killed processes have left aside of a file; what may be in use stays."""
    with suppress(OSError):
        for left in path.parent.glob(f".{escape(path.name)}.{'[0-9a-f]' * 32}.tmp"):
            with suppress(OSError):  # another process may do the same
                if time.time() - left.stat().st_mtime > ABANDONED:
                    left.unlink()


def _write_members(file, kind, content, arrays):
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        described = {name: _write_array(archive, name, array) for name, array in arrays.items()}
        whole = {"format": kind.format, "version": kind.version, **content, "arrays": described}
        text = json.dumps(whole, allow_nan=False).encode()
        if len(text) > MAX_CONTENT or len(arrays) > MAX_ARRAYS:
            raise ValueError(
                f"a {kind.what} holds at most {MAX_ARRAYS:,} arrays, and {MAX_CONTENT:,} bytes of "
                f"what is in none. Got {len(arrays):,} and {len(text):,}: save parts in files of "
                "their own."
            )
        archive.writestr(zipfile.ZipInfo(kind.member), text)


def _write_array(archive, name, array):
    """Write an array as a member; return what the content tells of it."""
    head = io.BytesIO()
    order = {"fortran_order": _by_columns(array), "shape": array.shape}
    np.lib.format.write_array_header_1_0(head, order | {"descr": array.dtype.str})
    info = zipfile.ZipInfo(f"{name}.npy")
    info.file_size = head.tell() + array.nbytes
    # As long as it takes for the array to begin at a multiple of ALIGNMENT.
    taken = archive.fp.tell() + 30 + len(info.filename.encode()) + head.tell() + 4
    taken += 20 * (info.file_size * 1.05 > zipfile.ZIP64_LIMIT)
    n = -taken % ALIGNMENT
    info.extra = PADDING_FIELD.to_bytes(2, "little") + n.to_bytes(2, "little") + bytes(n)
    digest = hashlib.sha256()
    with archive.open(info, "w") as member:
        member.write(head.getvalue())
        for chunk in _chunks(array):
            digest.update(chunk)
            member.write(chunk)
    shape = list(array.shape)
    return {"shape": shape, "dtype": array.dtype.str, "sha256": digest.hexdigest()}


def _by_columns(array):
    return array.flags.f_contiguous and not array.flags.c_contiguous


def _chunks(array):
    """Yield the bytes of an array in the order in which they are stored."""
    flat = np.ascontiguousarray(array.T if _by_columns(array) else array).reshape(-1)
    view = flat.view(np.uint8) if flat.size and flat.itemsize else np.empty(0, np.uint8)
    for start in range(0, len(view), CHUNK):
        yield view[start : start + CHUNK].data


def _sync_folder(folder):
    """Flush a folder's list of files to the disk, where the system can."""
    if os.name == "nt":  # Windows opens no folders
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network drives
            raise
    finally:
        os.close(handle)


# ------------------------------------------------------------ reading


class Reader:
    """An archive that is open for reading; a context manager.

    Whatever is wrong with it is a ValueError that names the file.

    Parameters
    ----------
    path : str or path-like
    kind : Kind
    mapped : bool, default=False
        Whether arrays are mapped from the file instead of read: copy on write, so that several
        processes share them.

    Attributes
    ----------
    content : dict
        What the JSON member holds.
    """

    def __init__(self, path, kind, mapped=False):
        self._path, self._kind, self._mapped = Path(path), kind, mapped
        self._found: dict[str, np.ndarray] = {}
        self._handed_out = 0
        self._pages: mmap.mmap | None = None

    def __enter__(self):
        self._file = open(self._path, "rb", opener=_at_once)
        try:
            found = os.fstat(self._file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise ValueError("it is a pipe or a device, not a file")
            self._size = found.st_size
            check_directory(self._file, self._size)
            self._archive = zipfile.ZipFile(self._file)
            self._members = check_members(self._archive, self._size)
            self.content = self._checked_content()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, kind, error, traceback):
        self._file.close()
        if not isinstance(error, Exception) or isinstance(error, NOT_THE_FILE):
            return False
        what, advice = self._kind.what, self._kind.advice  # zipfile raises a dozen kinds
        wrong = f"is damaged, or is none: {error or type(error).__name__}"
        if isinstance(error, Later):
            wrong, advice = f"was written by a later skbp: {error}", "Update skbp to read it."
        stop = "" if wrong.endswith(".") else "."
        raise ValueError(f"the {what} {self._path} {wrong}{stop} {advice}") from error

    def _checked_content(self):
        kind = self._kind
        n_bytes = self._archive.getinfo(kind.member).file_size
        if n_bytes > MAX_CONTENT:
            raise ValueError(f"its {kind.member} has {n_bytes:,} bytes, at most {MAX_CONTENT:,}")
        content = strict_json(self._archive.read(kind.member))  # compares the CRC
        if content["format"] != kind.format or content["version"] not in range(1, kind.version + 1):
            version = content["version"]
            newer = content["format"] == kind.format and type(version) is int and version > 0
            raise (Later if newer else ValueError)(
                f"it is a {content['format']!r} of version {version}; this skbp reads "
                f"{kind.format!r} up to version {kind.version}"
            )
        described = {f"{name}.npy" for name in content["arrays"]}
        if described != self._members.keys() - {kind.member}:
            differ = sorted(described ^ (self._members.keys() - {kind.member}))
            raise ValueError(f"its members and their description differ: {differ[:3]}")
        for name in content["arrays"]:
            if not NAME.fullmatch(name):
                raise ValueError(f"an array is named {name!r:.100}")
        return content

    def array(self, name):
        """Return the array of a name, once its shape, dtype, CRC and SHA-256 are right.

        Asked for again, it is the same array.
        """
        if name not in self._found:
            self._found[name] = self._checked_array(name)
        array = self._found[name]
        self._handed_out += array.nbytes
        if self._handed_out > MAX_SHARED * self._size:
            raise ValueError("its arrays stand in too many places")
        return array

    def _checked_array(self, name):
        expected, info = self.content["arrays"][name], self._members[f"{name}.npy"]
        with self._archive.open(info) as member:
            shape, by_columns, dtype = read_header(member, info.file_size, name)
            if [list(shape), dtype.str] != [expected["shape"], expected["dtype"]]:
                raise ValueError(
                    f"{name} has shape {shape} and dtype {dtype}, expected {expected['shape']} and "
                    f"{expected['dtype']}"
                )
            n_bytes = info.file_size - member.tell()
            if self._mapped and n_bytes:
                content, digest = self._map(info, n_bytes)
            else:
                content, digest = _read(member, n_bytes)
        if digest != expected["sha256"]:
            raise ValueError(f"the SHA-256 of {name} is {digest}, expected {expected['sha256']}")
        return content.view(dtype).reshape(shape, order="F" if by_columns else "C")

    def _map(self, info, n_bytes):
        """Return the last bytes of a member, mapped from the file, and their digest."""
        self._file.seek(info.header_offset + 26)
        n_name, n_extra = (int.from_bytes(self._file.read(2), "little") for _ in range(2))
        stop = info.header_offset + 30 + n_name + n_extra + info.file_size
        if self._pages is None:
            self._pages = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_COPY)
        content = np.frombuffer(self._pages, np.uint8, n_bytes, stop - n_bytes)
        return content, hashlib.sha256(content.data).hexdigest()


def _read(member, n_bytes):
    """Read a member to its end; return its bytes, and their digest."""
    content, digest, start = np.empty(n_bytes, np.uint8), hashlib.sha256(), 0
    while chunk := member.read(CHUNK):
        content[start : start + len(chunk)] = np.frombuffer(chunk, np.uint8)
        digest.update(chunk)
        start += len(chunk)
    if start < n_bytes:
        raise ValueError("the file ends too early")
    return content, digest.hexdigest()


def _at_once(path, flags):
    """Open a file; a pipe that nobody writes to does not keep us waiting."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def strict_json(text):
    """Return what JSON holds: no number that is none, and no key that comes twice.

    Raises
    ------
    ValueError
        If it is none.
    RecursionError
        If it is nested too deeply.
    """
    return json.loads(
        text, object_pairs_hook=_with_keys_once, parse_constant=_number, parse_float=_number
    )


def _with_keys_once(pairs):
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key comes twice in its JSON")
    return found


def _number(text):
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"its JSON has the number {text:.20}")
    return number


def check_directory(file, size):
    """Raise a ValueError unless a file ends as our archives do, with a list of members in reason.

    zipfile takes the list into memory before anything of it can be looked at.
    """
    file.seek(max(0, size - 42))
    tail = file.read(42)
    if tail[-22:-18] != b"PK\5\6" or tail[-2:] != b"\0\0":
        raise ValueError("it does not end as such files do")
    n_bytes = int.from_bytes(tail[-10:-6], "little")
    if tail[:4] == b"PK\6\7":  # of more than 4 GiB: what follows the list tells its length
        file.seek(min(size, int.from_bytes(tail[8:16], "little")))
        n_bytes = int.from_bytes(file.read(56)[40:48], "little")
    file.seek(0)
    if n_bytes > MAX_DIRECTORY:
        raise ValueError(f"its list of members has {n_bytes:,} bytes, at most {MAX_DIRECTORY:,}")


def check_members(archive, size):
    """Return the members of a ZIP archive of so many bytes, by name.

    Raises
    ------
    ValueError
        If members are compressed, or overlap: reading them all could take any amount of memory.
    """
    members = archive.infolist()
    if any(
        info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size
        for info in members
    ):
        raise ValueError("a member is compressed")
    found = {info.filename: info for info in members}
    # Uncompressed members that lie side by side cannot be larger than the file.
    if sum(info.file_size for info in members) > size or len(found) < len(members):
        raise ValueError("its members overlap")
    return found


def read_header(member, n_bytes, name, records=False):
    """Return (shape, by_columns, dtype) of an ``.npy`` member, the rest of which is its array.

    Parameters
    ----------
    member : file
        At its beginning.
    n_bytes : int
        Of the member, header and array.
    name : str
        For messages.
    records : bool, default=False
        Whether records of numbers may be there too, as in trees.

    Raises
    ------
    ValueError
        If it is none of numbers, texts or times, or there are more or fewer bytes than its shape
        and dtype need.
    """
    magic = member.read(8)
    n_header = int.from_bytes(member.read({1: 2, 2: 4}.get(magic[-2], 0)), "little")
    if magic[:6] != b"\x93NUMPY" or n_header > MAX_HEADER:
        raise ValueError(f"{name} has no header of an array")
    header = member.read(n_header).decode("latin1")
    found = HEADER.fullmatch(header)
    if not found or (found[1][0] == "[" and not records):
        raise ValueError(f"{name} has the header {header.strip()!r:.200}")
    shape = tuple(int(n) for n in re.findall(r"\d+", found[3]))
    fields = re.findall(r"\('(\w+)', '([^']+)'\)", found[1])
    dtype = np.dtype(fields or found[1].strip("'"))
    n_bytes -= member.tell()
    if not dtype.itemsize or math.prod(shape) * dtype.itemsize != n_bytes:
        raise ValueError(
            f"{name} is to have shape {shape} and dtype {dtype}, but has {n_bytes} bytes"
        )
    return shape, found[2] == "True", dtype
