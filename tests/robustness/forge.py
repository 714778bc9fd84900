"""Archives taken apart, changed, and put together again, with CRC-32 and SHA-256 as they must be.

Nothing of the package writes them: what a hostile hand could write is here written by hand.
"""

import hashlib
import io
import json
import struct
import warnings
import zipfile
import zlib

import numpy as np

MODEL, STATE = "model.json", "state.json"


def take_apart(path):
    """Return (content, arrays): what the JSON member holds, and the arrays by name."""
    with zipfile.ZipFile(path) as archive:
        *names, member = archive.namelist()
        content = json.loads(archive.read(member))
        del content["arrays"]  # `put_together` describes them anew
        arrays = {}
        for name in names:
            with archive.open(name) as file:
                arrays[name.removesuffix(".npy")] = np.lib.format.read_array(file)
    return content, arrays


def npy(array, **changes):
    """Return the bytes of an ``.npy`` file; changes are of its header."""
    file = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(array.dtype)
    header = {"descr": descr, "fortran_order": False, "shape": array.shape} | changes
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + (b"" if array.dtype.hasobject else array.tobytes())


def description(array, **changes):
    """Return what the JSON member says of an array."""
    content = b"" if array.dtype.hasobject else array.tobytes()
    told = {"shape": list(array.shape), "dtype": array.dtype.str}
    return told | {"sha256": hashlib.sha256(content).hexdigest()} | changes


def put_together(path, content, arrays, *, text=None, members=(), compression=zipfile.ZIP_STORED):
    """Write an archive.

    Parameters
    ----------
    path : path-like
    content : dict
        Arrays are described anew, where it does not describe them itself.
    arrays : dict of str to ndarray or bytes
        Bytes are written as they are.
    text : bytes, optional
        Instead of the content as JSON.
    members : sequence of tuple (name, bytes)
        More members.
    compression : int
        As zipfile calls it.
    """
    told = {name: description(a) for name, a in arrays.items() if isinstance(a, np.ndarray)}
    if text is None:
        text = json.dumps(content | {"arrays": told | content.get("arrays", {})}).encode()
    first = MODEL if content.get("format", "skbp model") == "skbp model" else STATE
    with (
        warnings.catch_warnings(action="ignore"),  # of names that come twice
        zipfile.ZipFile(path, "w", compression) as archive,
    ):
        archive.writestr(first, text)
        for name, array in arrays.items():
            archive.writestr(f"{name}.npy", npy(array) if isinstance(array, np.ndarray) else array)
        for name, more in members:
            archive.writestr(name, more)


def places(value, kind=None, found=None):
    """Return all dicts and lists in a value; or the dicts of objects of a kind alone."""
    found = [] if found is None else found
    if isinstance(value, dict | list):
        if kind is None or (isinstance(value, dict) and value.get("$kind") == kind):
            found.append(value)
        for item in value.values() if isinstance(value, dict) else value:
            places(item, kind, found)
    return found


def first(content, kind):
    """Return the parts of the first object of a kind."""
    return places(content, kind)[0]["with"]


def stored(name, content):
    """Return the local header of a stored zip member, and its entry of the archive's directory."""
    name, crc, size = name.encode(), zlib.crc32(content), len(content)
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 0, 0, 33, crc, size, size, len(name), 0)
    entry = struct.pack(
        "<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 0, 0, 33, crc, size, size, len(name), 0, 0, 0, 0, 0, 0
    )  # fmt: skip
    return local + name, entry[:-4], name


def overlapping(members):
    """Return an archive of members, each of which has in its content all those after it."""
    rest, entries = bytes(20_000), []
    for name, make in reversed(members):
        content = make(rest)
        local, entry, name = stored(name, content)
        rest = local + content
        entries = [(entry, name, len(rest)), *entries]
    directory = b"".join(
        entry + struct.pack("<I", len(rest) - after) + name for entry, name, after in entries
    )
    n = len(entries)
    return rest + directory + struct.pack(
        "<4s4H2IH", b"PK\5\6", 0, 0, n, n, len(directory), len(rest), 0
    )  # fmt: skip
