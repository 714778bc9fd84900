"""Preparation of tables for networks: numbers, categories, dates, and all of them at once."""

from skbp.preprocessing.categories import CategoryCodes
from skbp.preprocessing.dates import DateParts
from skbp.preprocessing.encoder import TableEncoder
from skbp.preprocessing.quantile import QuantileNormal
from skbp.preprocessing.robust import RobustSmoothClip

__all__ = ["CategoryCodes", "DateParts", "QuantileNormal", "RobustSmoothClip", "TableEncoder"]
