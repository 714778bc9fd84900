"""Packages that come with an extra of their own, imported when they are needed."""

from importlib import import_module


def library(name, extra=None):
    """Import a package, or a module of one, and return it.

    Parameters
    ----------
    name : str
    extra : str, optional
        The extra of skbp that brings it, if one does.

    Raises
    ------
    ImportError
        If it is not installed; says how to install it.
    """
    try:
        return import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        wanted = package if extra is None else f'"skbp[{extra}]"'
        raise ImportError(
            f"this needs the package {package!r}. Install it with: pip install {wanted}"
        ) from error
