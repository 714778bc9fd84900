"""Looking at networks: what they are made of, how training went, what their outputs rest on."""

from skbp.inspection._attribution import gradient_x_input, input_gradients, integrated_gradients
from skbp.inspection._attribution_display import AttributionDisplay
from skbp.inspection._loss_curve import LossCurveDisplay
from skbp.inspection._lr_range import LRRangeDisplay, LRRangeResult, lr_range_test
from skbp.inspection._summary import LayerSummary, Summary, summary
from skbp.inspection._table import TableAttributions, table_attributions

__all__ = [
    "AttributionDisplay",
    "LRRangeDisplay",
    "LRRangeResult",
    "LayerSummary",
    "LossCurveDisplay",
    "Summary",
    "TableAttributions",
    "gradient_x_input",
    "input_gradients",
    "integrated_gradients",
    "lr_range_test",
    "summary",
    "table_attributions",
]
