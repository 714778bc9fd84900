"""Distributions of hyperparameters, for random searches: what scipy.stats has not."""

from scipy.stats import loguniform, uniform
from sklearn.utils import check_random_state


class ZeroOr:
    """0 half of the time, else a value of another distribution: whether, and how much.

    Parameters
    ----------
    other : object
        With a method ``rvs(random_state=...)``, such as those of scipy.stats.
    """

    def __init__(self, other):
        self.other = other

    def rvs(self, random_state=None):
        """Draw a value."""
        rng = check_random_state(random_state)
        return 0.0 if rng.rand() < 0.5 else float(self.other.rvs(random_state=rng))


class LayerSizes:
    """Tuples of sizes of layers: how many, and how large, each from a range; all inner ones alike.

    Parameters
    ----------
    n_layers : tuple of (int, int)
        Fewest and most layers.
    units : tuple of (int, int)
        Smallest and largest size.
    """

    def __init__(self, n_layers, units):
        self.n_layers = n_layers
        self.units = units

    def rvs(self, random_state=None):
        """Draw a tuple."""
        rng = check_random_state(random_state)
        n_layers = rng.randint(self.n_layers[0], self.n_layers[1] + 1)
        first, inner, last = rng.randint(self.units[0], self.units[1] + 1, size=3)
        sizes = [first, *[inner] * (n_layers - 2), last][:n_layers]
        return tuple(map(int, sizes))


def dense_space():
    """Return the search space of a network of dense layers; its source: see `search_space`."""
    return {
        "hidden_layer_sizes": LayerSizes((1, 8), (1, 512)),
        "dropout": ZeroOr(uniform(0.0, 0.5)),
        "learning_rate_init": loguniform(1e-5, 1e-2),
        "alpha": ZeroOr(loguniform(1e-6, 1e-3)),
    }
