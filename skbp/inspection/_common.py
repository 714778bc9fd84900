"""What the inspection tools share: finding the network, and the axes to draw on."""

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

#: Where a fitted search, or a TransformedTargetRegressor, has the estimator that predicts: with
#: the X that it is given itself.
ON_SAME_ROWS = "best_estimator_", "regressor_"


def on_same_rows(estimator):
    """Return what is inside searches and TransformedTargetRegressors, if it is in any."""
    while name := next((name for name in ON_SAME_ROWS if hasattr(estimator, name)), None):
        estimator = getattr(estimator, name)
    return estimator


def fitted_network(estimator):
    """Return the fitted network estimator, wherever it is inside.

    That is in pipelines, searches, TransformedTargetRegressors and estimators for tables.

    Raises
    ------
    NotFittedError
        If it is not fitted.
    TypeError
        If it is no estimator of skbp.
    """
    while True:
        estimator = on_same_rows(estimator)
        if isinstance(estimator, Pipeline):
            estimator = estimator[-1]
        elif hasattr(estimator, "network_"):  # one for tables
            estimator = estimator.network_
        else:
            break
    check_is_fitted(estimator)
    if not hasattr(estimator, "_network"):
        raise not_a_network(estimator)
    return estimator


def not_a_network(estimator):
    """Return the error for an estimator that is not one of skbp's."""
    return TypeError(
        f"expected a BackpropClassifier or BackpropRegressor, or a pipeline that ends in one. Got "
        f"{estimator!r}."
    )


def axes(ax, caller):
    """Return the matplotlib Axes to draw on: the given ones, or new ones.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    plt = pyplot(caller)
    return plt.subplots()[1] if ax is None else ax


def pyplot(caller):
    """Return matplotlib's pyplot, or raise an ImportError that says how to install it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{caller} needs matplotlib, which is not installed. Install it, or skbp with it: "
            'pip install "skbp[plot]"'
        ) from error
    return plt
