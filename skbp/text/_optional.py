"""Libraries that come with an extra of their own."""

from importlib import import_module


def library(name):
    """Import a library of the extra "text", and return it.

    Raises
    ------
    ImportError
        If it is not installed; says how to install it.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(
            f'skbp.text needs the package {name!r}. Install it with: pip install "skbp[text]"'
        ) from error
