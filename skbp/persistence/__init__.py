"""Files of models that last, and that whoever loads them need not trust."""

from skbp.persistence.files import load, save

__all__ = ["load", "save"]
