"""The written cases, a module a group; importing this fills `CASES`."""

from . import values

__all__ = ["values"]
