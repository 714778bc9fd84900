"""Tensors of a safetensors file, one at a time."""

import numpy as np

from skbp._optional import library

#: Types of numbers that are read, by the file's names.
TYPES = ("F32", "F16", "BF16", "F64")


class Tensors:
    """The tensors of a file, which the `safetensors` library maps into memory.

    Parameters
    ----------
    path : pathlib.Path

    Attributes
    ----------
    names : list of str
        Of all tensors.

    Raises
    ------
    ValueError
        If it is no whole file of that format.
    """

    def __init__(self, path):
        self.path = path
        self._library = library("safetensors", "text")
        try:
            self._file = self._library.safe_open(path, framework="np")
        except self._library.SafetensorError as error:
            raise ValueError(
                f"{path} is no whole safetensors file ({error}). Fetch or copy it again."
            ) from error
        self.names = sorted(self._file.keys())
        self._widened: dict | None = None

    def read(self, name, shape):
        """Return a tensor as an array of float16, float32 or float64.

        Parameters
        ----------
        name : str
        shape : tuple of int
            Which it has to have.

        Raises
        ------
        ValueError
            If there is none of that name, or of another shape or type.
        """
        kind = self.check(name, shape)
        return self._bfloat16(name, shape) if kind == "BF16" else self._file.get_tensor(name)

    def check(self, name, shape):
        """Return the type of a tensor, by its name in the file; raise as `read` does."""
        if name not in self.names:
            raise ValueError(
                f"{self.path} lacks the tensor {name!r}, of shape {shape}, which its configuration "
                f"asks for. It holds {len(self.names)}: {', '.join(self.names[:3])} ..."
            )
        part = self._file.get_slice(name)
        found, kind = tuple(part.get_shape()), part.get_dtype()
        if found != tuple(shape):
            raise ValueError(
                f"{self.path}: the tensor {name!r} has shape {found}; by its configuration it has "
                f"{tuple(shape)}. The two do not belong together."
            )
        if kind not in TYPES:
            raise ValueError(
                f"{self.path}: the tensor {name!r} has type {kind}; supported are "
                f"{', '.join(TYPES)}."
            )
        return kind

    def _bfloat16(self, name, shape):
        """Return a tensor of a type that NumPy lacks: float32 without the last 16 bits."""
        if self._widened is None:  # NumPy's face of the library has no such tensors: read them all
            self._widened = dict(self._library.deserialize(self.path.read_bytes()))
        halves = np.frombuffer(self._widened[name]["data"], "<u2").reshape(shape)
        return (halves.astype(np.uint32) << 16).view(np.float32)
