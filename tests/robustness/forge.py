"""Archives taken apart, changed, and put together again, with CRC-32 and SHA-256 as they must be.

Nothing of the package writes them: what a hostile hand could write is here written by hand.
"""

import hashlib
import io
import json
import warnings
import zipfile

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
