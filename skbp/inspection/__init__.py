"""Looking at networks: what they are made of, how training went, which learning rate fits."""

from skbp.inspection._loss_curve import LossCurveDisplay
from skbp.inspection._lr_range import LRRangeDisplay, LRRangeResult, lr_range_test
from skbp.inspection._summary import LayerSummary, Summary, summary

__all__ = [
    "LRRangeDisplay",
    "LRRangeResult",
    "LayerSummary",
    "LossCurveDisplay",
    "Summary",
    "lr_range_test",
    "summary",
]
