"""Attributions as pictures."""

from collections.abc import Mapping
from math import ceil

import numpy as np

from skbp._component import OneOf
from skbp.inspection._attribution import METHODS, Rows
from skbp.inspection._common import pyplot
from skbp.layers import Reshape

#: The most rows, and features of a row, that are drawn.
MAX_ROWS, MAX_FEATURES = 20, 15
#: Characters in a line of text, and inches that one takes.
LINE, CHARACTER = 60, 0.09
#: Panels side by side.
COLUMNS = 5


class AttributionDisplay:
    """Attributions of some rows, each in a panel: red speaks for the output, blue against it.

    Tables are drawn as bars, of the features with the largest mean absolute value; texts as their
    tokens, on the color; sequences as maps of features over time; images, with channels summed up,
    over the image itself. All panels have one scale. `from_estimator` draws flat rows in the shape
    that the network works with, also if its first layer makes it, such as ``Input((1, 8, 8))``.

    Parameters
    ----------
    attributions : array-like of shape (n, n_features), (n, time, k) or (n, channels, height, width)
        At most 20 rows.
    images : array-like of the same shape, default=None
        Drawn in grey below the attributions of images, as the mean over channels.
    feature_names : sequence of str, default=None
        Names of a table's or of a step's features; None means their numbers.
    tokens : array-like of str of shape (n, n_features), default=None
        What each attribution of a text belongs to; empty ones are left out. None means that rows
        are no texts.
    titles : sequence of str, default=None
        What stands above each panel.

    Attributes
    ----------
    axes_ : list of matplotlib Axes
        One for each row.
    figure_ : matplotlib Figure
        Contains the axes.

    See Also
    --------
    integrated_gradients : Where attributions come from.

    Examples
    --------
    >>> from skbp.inspection import AttributionDisplay
    >>> display = AttributionDisplay([[0.2, -0.5]], feature_names=["age", "height"])
    >>> display.plot().axes_[0].get_xlabel()  # doctest: +SKIP
    'Attribution'
    """

    def __init__(self, attributions, *, images=None, feature_names=None, tokens=None, titles=None):
        self.attributions = attributions
        self.images = images
        self.feature_names = feature_names
        self.tokens = tokens
        self.titles = titles

    @classmethod
    def from_estimator(
        cls, estimator, X, *, target=None, method="integrated_gradients", feature_names=None,
        vocabulary=None, ax=None, **params,
    ):  # fmt: skip
        """Compute attributions of rows, and draw them.

        Parameters
        ----------
        estimator, X, target
            As in `input_gradients`; at most 20 rows.
        method : str, default="integrated_gradients"
            Or "input_gradients", "gradient_x_input".
        feature_names : sequence of str, default=None
            Names of the features; None means those that the estimator has seen in `fit`, for rows
            that are drawn as bars.
        vocabulary : sequence of str, or dict of int to str, default=None
            The token of each code: rows of X are texts. A code that is not in it is left out, as
            padding is to be.
        ax : matplotlib Axes, or array-like of one for each row, default=None
            Where to draw; None means a new figure.
        **params
            Further parameters of `integrated_gradients`.

        Returns
        -------
        display : AttributionDisplay

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As the method; ValueError also for an unknown method or too many rows.
        ImportError
            If matplotlib is not installed.
        """
        if method not in OneOf(tuple(METHODS)):
            raise ValueError(f"method must be one of {', '.join(METHODS)}. Got {method!r} instead.")
        rows = Rows(estimator, X, target)
        _check_number(len(rows.x))
        values = METHODS[method](estimator, X, target, **params)
        shape = (len(values), *(_drawn_shape(rows.network) if vocabulary is None else (-1,)))
        titles = None
        if rows.classes is not None:
            titles = [f"class {label}" for label in rows.classes[rows.columns]]
        names = feature_names
        if names is None and len(shape) == 2:  # names of columns are none of a step's features
            names = rows.feature_names
        display = cls(
            values.reshape(shape), images=rows.x.reshape(shape), feature_names=names, titles=titles,
            tokens=None if vocabulary is None else _tokens(rows.x, vocabulary),
        )  # fmt: skip
        return display.plot(ax)

    def plot(self, ax=None):
        """Draw the panels.

        Parameters
        ----------
        ax : matplotlib Axes, or array-like of one for each row, default=None
            Where to draw; None means a new figure.

        Returns
        -------
        self : AttributionDisplay

        Raises
        ------
        ValueError
            If there are too many rows, not as many axes as rows, or `attributions` has a shape
            that cannot be drawn.
        ImportError
            If matplotlib is not installed.
        """
        values = np.asarray(self.attributions, dtype=float)
        if not 2 <= values.ndim <= 4:
            raise ValueError(
                "attributions must have shape (n, n_features), (n, time, k) or (n, channels, "
                f"height, width). Got {values.shape} instead."
            )
        _check_number(len(values))
        if self.tokens is not None:
            return self._texts(values, ax)._titled()
        self.axes_ = self._panels(ax, len(values), wide=values.ndim < 4)
        self.figure_ = self.axes_[0].figure
        {2: self._bars, 3: self._maps, 4: self._images}[values.ndim](values)
        return self._titled()

    def _titled(self):
        for panel, title in zip(self.axes_, self.titles or [], strict=False):
            panel.set_title(title)
        return self

    @staticmethod
    def _panels(ax, n, wide, heights=None):
        plt = pyplot("AttributionDisplay")
        if ax is not None:
            given = list(np.ravel(np.asarray(ax, dtype=object)))
            if len(given) != n:
                raise ValueError(f"ax has {len(given)} axes for {n} rows; give one for each row.")
            return given
        columns = 1 if heights else min(n, 2 if wide else COLUMNS)
        lines = ceil(n / columns)
        size = (5 * columns, 3.5 * lines) if wide else (2.2 * columns + 0.8, 2.4 * lines)
        if heights:
            size = (LINE * CHARACTER + 1, 0.3 * sum(heights) + 0.4 * n)
        _, panels = plt.subplots(
            lines, columns, figsize=size, squeeze=False, layout="constrained", height_ratios=heights
        )
        for spare in panels.flat[n:]:
            spare.remove()
        return list(panels.flat[:n])

    def _texts(self, values, ax):
        """Draw the tokens of each row, line by line, on the color of their attribution."""
        tokens = np.asarray(self.tokens, dtype=str)
        if tokens.shape != values.shape:
            raise ValueError(
                f"tokens have shape {tokens.shape} and attributions {values.shape}: there must be "
                "a token for each attribution."
            )
        places = [_lines(row) for row in tokens]
        heights = [max((line for _, line in row.values()), default=0) + 1 for row in places]
        self.axes_ = self._panels(ax, len(values), wide=True, heights=heights)
        self.figure_ = self.axes_[0].figure
        style = _colors(values)
        size = 72 * CHARACTER / 0.62  # points: a letter of the font is 0.6 as wide as it is high
        for panel, row, texts, place, height in zip(
            self.axes_, values, tokens, places, heights, strict=True
        ):
            drawn = panel.scatter([], [], c=[], cmap=style["cmap"], norm=_norm(style))
            for i, (start, line) in place.items():
                color = drawn.to_rgba(row[i])
                width = len(texts[i])
                panel.fill_between([start, start + width], line - 0.45, line + 0.45, color=color)
                dark = np.dot(color[:3], (0.3, 0.6, 0.1)) < 0.5
                panel.text(
                    start + width / 2, line, texts[i], size=size, family="monospace", ha="center",
                    va="center", color="white" if dark else "black",
                )  # fmt: skip
            panel.set(xlim=(0, LINE), ylim=(height - 0.5, -0.5))
            panel.axis("off")
        self.figure_.colorbar(drawn, ax=self.axes_, label="Attribution")
        return self

    def _names(self, k):
        if self.feature_names is None:
            return [str(i) for i in range(k)]
        return [str(name) for name in self.feature_names]

    def _bars(self, values):
        names = self._names(values.shape[1])
        # Largest last: bars are drawn from below.
        shown = np.abs(values).mean(axis=0).argsort(kind="stable")[-MAX_FEATURES:]
        largest = 1.05 * np.abs(values).max() or 1
        for panel, row in zip(self.axes_, values[:, shown], strict=True):
            colors = np.where(row > 0, "tab:red", "tab:blue")
            panel.barh([names[i] for i in shown], row, color=colors)
            panel.axvline(0, color="black", lw=0.8)
            panel.set(xlabel="Attribution", xlim=(-largest, largest))

    def _maps(self, values):
        names = self._names(values.shape[2])
        for panel, row in zip(self.axes_, values, strict=True):
            drawn = panel.imshow(row.T, aspect="auto", **_colors(values))
            panel.set(xlabel="Step", ylabel="Feature")
            if len(names) <= MAX_FEATURES:
                panel.set_yticks(range(len(names)), names)
        self.figure_.colorbar(drawn, ax=self.axes_, label="Attribution")

    def _images(self, values):
        values = values.sum(axis=1)
        images = None if self.images is None else np.asarray(self.images, float).mean(axis=1)
        style, largest = _colors(values), np.abs(values).max() or 1
        for index, (panel, row) in enumerate(zip(self.axes_, values, strict=True)):
            drawn = panel.imshow(row, **style)  # opaque, for the colour bar
            if images is not None:
                image = images[index]
                darkest = 2 * image.max() - image.min() or 1  # never reached: colours stay bright
                panel.imshow(image, cmap="gray_r", vmin=image.min(), vmax=darkest)
                panel.imshow(row, alpha=np.sqrt(np.abs(row) / largest), **style)
            panel.set(xticks=[], yticks=[])
        self.figure_.colorbar(drawn, ax=self.axes_, label="Attribution")


def _drawn_shape(network):
    """Return the shape in which a row is drawn: what the network, or its first layer, says."""
    first, shape = network.layers[0], network.input_shape
    if isinstance(first, Reshape):
        made = first.output_shape(shape)
        return made if len(made) in (2, 3) else shape
    return shape


def _tokens(x, vocabulary):
    """Return the token of each code, empty where it has none."""
    if isinstance(vocabulary, Mapping):
        known = {int(code): str(token) for code, token in vocabulary.items()}
    else:
        known = {code: str(token) for code, token in enumerate(vocabulary)}
    return np.array([[known.get(int(code), "") for code in row] for row in x], dtype=str)


def _lines(tokens):
    """Return where each token stands that is not empty: its first column and its line."""
    places, column, line = {}, 0, 0
    for i, token in enumerate(tokens):
        if not token:
            continue
        if column and column + len(token) > LINE:
            column, line = 0, line + 1
        places[i] = column, line
        column += len(token) + 1
    return places


def _norm(style):
    from matplotlib.colors import Normalize

    return Normalize(style["vmin"], style["vmax"])


def _colors(values):
    """Return keywords of ``imshow``: diverging colours around zero."""
    largest = np.abs(values).max() or 1
    return {"cmap": "RdBu_r", "vmin": -largest, "vmax": largest}


def _check_number(n):
    if not 1 <= n <= MAX_ROWS:
        raise ValueError(f"there are panels for 1 to {MAX_ROWS} rows. Got {n}: give some of them.")
