"""How training went, epoch by epoch, as a picture."""

import numpy as np

from skbp.inspection._common import axes, fitted_network


class LossCurveDisplay:
    """Losses and scores over the epochs of training.

    Use `from_estimator`, as with scikit-learn's displays; then `plot` draws it again.

    Parameters
    ----------
    loss : array-like of shape (n_epochs,)
        Training loss of each epoch.
    validation_loss : array-like of shape (n_epochs,), default=None
        Loss on the validation set.
    validation_score : array-like of shape (n_epochs,), default=None
        Score on the validation set, drawn on an axis of its own.
    train_score : array-like of shape (n_epochs,), default=None
        Score on the training set, likewise.
    best_epoch : int, default=None
        The epoch to mark, from 1.
    name : str, default=None
        Begins the names of the curves in the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
        With the losses.
    score_ax_ : matplotlib Axes or None
        With the scores.
    figure_ : matplotlib Figure
        Contains the axes.
    line_ : matplotlib Line2D
        Training loss.
    validation_line_, score_line_, train_score_line_, best_line_ : matplotlib Line2D or None
        The other curves, and the mark of the best epoch.

    See Also
    --------
    lr_range_test : Before training: which learning rates it may take.

    Examples
    --------
    >>> from skbp.inspection import LossCurveDisplay
    >>> display = LossCurveDisplay(loss=[0.9, 0.4, 0.3], validation_loss=[0.9, 0.5, 0.6],
    ...                            best_epoch=2)
    >>> display.plot().best_line_.get_label()  # doctest: +SKIP
    'Best epoch: 2'
    """

    def __init__(
        self, *, loss, validation_loss=None, validation_score=None, train_score=None,
        best_epoch=None, name=None,
    ):  # fmt: skip
        self.loss = loss
        self.validation_loss = validation_loss
        self.validation_score = validation_score
        self.train_score = train_score
        self.best_epoch = best_epoch
        self.name = name

    @classmethod
    def from_estimator(cls, estimator, *, ax=None, name=None, **params):
        """Draw how the training of an estimator went.

        The best epoch is that of the highest validation score, or without scores that of the lowest
        validation loss; without a validation set none is marked.

        Parameters
        ----------
        estimator : BackpropClassifier or BackpropRegressor
            Fitted; or a pipeline, a search or a TransformedTargetRegressor that holds one.
        ax : matplotlib Axes, default=None
            Where to draw; None means a new figure.
        name : str, default=None
            Begins the names of the curves in the legend.
        **params
            Further parameters of `plot`.

        Returns
        -------
        display : LossCurveDisplay

        Raises
        ------
        NotFittedError, TypeError
            If the estimator is not fitted, or none of skbp.
        ImportError
            If matplotlib is not installed.
        """
        history = _history(fitted_network(estimator))
        display = cls(best_epoch=_best_epoch(history), name=name, **history)
        return display.plot(ax, **params)

    def plot(
        self, ax=None, *, name=None, score_ax=None, loss_kw=None, validation_kw=None, score_kw=None,
        train_score_kw=None,
    ):  # fmt: skip
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None means a new figure.
        name : str, default=None
            Begins the names of the curves; None means that of the display.
        score_ax : matplotlib Axes, default=None
            Where to draw scores; None means a second y-axis. Give an earlier display's
            ``score_ax_`` to compare two networks in one picture.
        loss_kw, validation_kw, score_kw, train_score_kw : dict, default=None
            Keywords of matplotlib's ``plot`` for each of the curves.

        Returns
        -------
        self : LossCurveDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        self.ax_ = ax = axes(ax, "LossCurveDisplay")
        self.figure_ = ax.figure
        prefix = f"{name or self.name}: " if name or self.name else ""
        scores = self.validation_score is not None or self.train_score is not None
        self.score_ax_ = (ax.twinx() if score_ax is None else score_ax) if scores else None

        def draw(on, values, label, style, keywords):
            if values is None:
                return None
            color = f"C{len(_curves(ax, self.score_ax_))}"
            style = {"linestyle": style, "color": color, "label": prefix + label}
            epochs = np.arange(1, len(values) + 1)
            return on.plot(epochs, values, **{**style, **(keywords or {})})[0]

        self.line_ = draw(ax, self.loss, "Training loss", "-", loss_kw)
        self.validation_line_ = draw(
            ax, self.validation_loss, "Validation loss", "-", validation_kw
        )
        self.score_line_ = draw(
            self.score_ax_, self.validation_score, "Validation score", "--", score_kw
        )
        self.train_score_line_ = draw(
            self.score_ax_, self.train_score, "Training score", "--", train_score_kw
        )
        self._finish(prefix)
        return self

    def _finish(self, prefix):
        """Mark the best epoch, name the axes, and list all curves in one legend."""
        from matplotlib.ticker import MaxNLocator

        ax, self.best_line_ = self.ax_, None
        if self.best_epoch is not None:
            self.best_line_ = ax.axvline(
                self.best_epoch, color=self.line_.get_color(), linestyle=":",
                label=f"{prefix}Best epoch: {self.best_epoch}",
            )  # fmt: skip
        ax.set(xlabel="Epoch", ylabel="Loss")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        top = ax
        if self.score_ax_ is not None:
            self.score_ax_.set_ylabel("Score")
            top = self.score_ax_  # drawn last: its lines would cross a legend of the other one
        # Losses fall and scores rise: what stays free is the middle, to the right.
        top.legend(handles=_curves(ax, self.score_ax_), loc="best" if top is ax else "center right")


def _curves(*all_axes):
    return [line for ax in all_axes if ax is not None for line in ax.lines]


def _history(estimator):
    """Return what is known of the epochs, by the names of the display's parameters."""
    history = getattr(estimator, "history_", None)
    if history is None:
        history = {
            "loss": getattr(estimator, "loss_curve_", None),
            "validation_loss": getattr(estimator, "validation_loss_curve_", None),
            "validation_score": getattr(estimator, "validation_scores_", None),
            "train_score": getattr(estimator, "train_score_", None),
        }
    names = ("loss", "validation_loss", "validation_score", "train_score")
    known = {name: history[name] for name in names if history.get(name) is not None}
    if "loss" not in known:
        raise ValueError(
            f"There is no loss curve: solver={estimator.solver!r} does not train in epochs. Fit "
            "with a stochastic solver, such as 'adam'."
        )
    return known


def _best_epoch(history):
    """Return the epoch with the best validation score, or loss; None if there is none."""
    for name, sign in (("validation_score", 1), ("validation_loss", -1)):
        values = sign * np.asarray(history.get(name, []), dtype=float)
        if not np.isnan(values).all():
            return int(np.nanargmax(values)) + 1
    return None
