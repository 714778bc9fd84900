"""Texts: retrieval of examples, and what a classifier should not answer."""

from skbp.text.nearest import NearestExamples
from skbp.text.reject import RejectOption

__all__ = ["NearestExamples", "RejectOption"]
