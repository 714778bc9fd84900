"""Archives of arrays: files that are either complete or not there, and name no code.

An archive is an ``.npz`` file: one ``.npy`` member an array, stored uncompressed at multiples of 64
bytes, and before them one member of JSON with everything else. Each member has a CRC-32, each array
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
import zipfile
from contextlib import suppress
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


class Lacking(ValueError):
    """A file that is sound, but needs what is not there."""


class Arrays:
    """The arrays of an archive that is to be written; each of them once.

    Attributes
    ----------
    by_name : dict of str to ndarray
    """

    def __init__(self):
        self.by_name: dict[str, np.ndarray] = {}
        self._names: dict[tuple, str] = {}

    def add(self, array, where):
        """Take an array down; return its name: the same for arrays that are the same memory."""
        if array.itemsize == 0:  # texts, all of them empty
            array = array.astype(f"{array.dtype.kind}1")
        start = array.__array_interface__["data"][0]
        key = (start, array.shape, array.strides, array.dtype.str) if array.size else (id(array),)
        if key not in self._names:
            name = re.sub(r"[^\w.\[\]-]", "_", where)[:100]
            name = name if name not in self.by_name else f"{name}-{len(self.by_name)}"
            self._names[key], self.by_name[name] = name, array
        return self._names[key]


# ------------------------------------------------------------ writing


def write_archive(path, kind, content, arrays):
    """Write an archive so that at each moment `path` is the old file, or the new one, whole.

    The file is written aside in the same folder, flushed to the disk and renamed; the folder is
    flushed too, so that the file survives a power failure once this has returned.

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
    except BaseException as error:
        with suppress(OSError):
            aside.unlink()
        if isinstance(error, OSError):
            raise OSError(
                error.errno,
                f"could not write the {kind.what} {path}: {error.strerror or error}. Free some "
                "space on the disk, or choose a folder that can be written to. Earlier "
                f"{kind.what}s are untouched.",
            ) from error
        raise


def _write_members(file, kind, content, arrays):
    described = {name: _described(array) for name, array in arrays.items()}
    whole = {"format": kind.format, "version": kind.version, **content, "arrays": described}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(kind.member), json.dumps(whole, allow_nan=False))
        for name, array in arrays.items():
            head = io.BytesIO()
            order = {"fortran_order": _by_columns(array), "shape": array.shape}
            np.lib.format.write_array_header_1_0(head, order | {"descr": array.dtype.str})
            info = zipfile.ZipInfo(f"{name}.npy")
            info.file_size = head.tell() + array.nbytes
            # As long as it takes for the array to begin at a multiple of ALIGNMENT.
            taken = file.tell() + 30 + len(info.filename.encode()) + head.tell() + 4
            taken += 20 * (info.file_size * 1.05 > zipfile.ZIP64_LIMIT)
            n = -taken % ALIGNMENT
            info.extra = PADDING_FIELD.to_bytes(2, "little") + n.to_bytes(2, "little") + bytes(n)
            with archive.open(info, "w") as member:
                member.write(head.getvalue())
                for chunk in _chunks(array):
                    member.write(chunk)


def _by_columns(array):
    return array.flags.f_contiguous and not array.flags.c_contiguous


def _chunks(array):
    """Yield the bytes of an array in the order in which they are stored."""
    flat = np.ascontiguousarray(array.T if _by_columns(array) else array).reshape(-1)
    view = flat.view(np.uint8) if flat.size and flat.itemsize else np.empty(0, np.uint8)
    for start in range(0, len(view), CHUNK):
        yield view[start : start + CHUNK].data


def _described(array):
    digest = hashlib.sha256()
    for chunk in _chunks(array):
        digest.update(chunk)
    return {
        "shape": list(array.shape), "dtype": array.dtype.str, "sha256": digest.hexdigest()
    }  # fmt: skip


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

    def __enter__(self):
        self._file = open(self._path, "rb")
        try:
            self._size = os.fstat(self._file.fileno()).st_size
            self._archive = zipfile.ZipFile(self._file)
            self._members = check_members(self._archive, self._size)
            self.content = self._checked_content()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, kind, error, traceback):
        self._file.close()
        if not isinstance(error, Exception) or isinstance(error, MemoryError | Lacking):
            return False
        what, advice = self._kind.what, self._kind.advice  # zipfile raises a dozen kinds
        raise ValueError(
            f"the {what} {self._path} is damaged, or is none: {error or type(error).__name__}"
            f"{'' if str(error).endswith('.') else '.'} {advice}"
        ) from error

    def _checked_content(self):
        kind = self._kind
        content = json.loads(self._archive.read(kind.member))  # compares the CRC
        if content["format"] != kind.format or content["version"] not in range(1, kind.version + 1):
            raise ValueError(
                f"it is a {content['format']!r} of version {content['version']}; this skbp reads "
                f"{kind.format!r} up to version {kind.version}"
            )
        described = {f"{name}.npy" for name in content["arrays"]}
        if described != self._members.keys() - {kind.member}:
            differ = sorted(described ^ (self._members.keys() - {kind.member}))
            raise ValueError(f"its members and their description differ: {differ[:3]}")
        return content

    def array(self, name):
        """Return the array of a name, once its shape, dtype, CRC and SHA-256 are right."""
        expected, info = self.content["arrays"][name], self._members[f"{name}.npy"]
        with self._archive.open(info) as member:
            shape, by_columns, dtype = _header(member, name)
            if [list(shape), dtype.str] != [expected["shape"], expected["dtype"]]:
                raise ValueError(
                    f"{name} has shape {shape} and dtype {dtype}, expected {expected['shape']} and "
                    f"{expected['dtype']}"
                )
            n_bytes = info.file_size - member.tell()
            if math.prod(shape) * dtype.itemsize != n_bytes:
                raise ValueError(
                    f"{name} is to have shape {shape} and dtype {dtype}, but has {n_bytes} bytes"
                )
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
        pages = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_COPY)
        content = np.frombuffer(pages, np.uint8, n_bytes, stop - n_bytes)
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


def _header(member, name):
    """Return (shape, by_columns, dtype) of an ``.npy`` member's header."""
    read = {
        (1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0
    }[np.lib.format.read_magic(member)]  # fmt: skip
    shape, by_columns, dtype = read(member, max_header_size=MAX_HEADER)
    if dtype.kind not in PLAIN_DTYPES or not dtype.itemsize or not all(n >= 0 for n in shape):
        raise ValueError(f"{name} has dtype {dtype} and shape {shape}")
    return shape, by_columns, dtype
