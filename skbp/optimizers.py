"""Optimizers: how a gradient changes the parameters.

An optimizer works on the network's one flat vector of parameters. It holds hyperparameters only;
what it remembers between steps is a dict of arrays that `init_state` makes.
"""

import math

import numpy as np

from skbp._component import Component, Flag, Range
from skbp._engine import kernels

__all__ = ["OPTIMIZERS", "SGD", "Adam", "LazyAdam", "Optimizer"]


class Optimizer(Component):
    """A rule that takes one step down the gradient, value by value.

    Since no value's step depends on another's, the engine calls `step` on one block of the
    parameters at a time, while they are in the cache.

    Attributes
    ----------
    lazy : bool
        Whether, on sparse input, only those weights of the first layer are stepped whose inputs
        occur in the batch.
    weight_decay : float
        Decoupled weight decay, by which `penalized_step` also shrinks the weights; 0 for rules
        that have no such hyperparameter.
    """

    lazy = False
    weight_decay = 0.0

    def init_state(self, params):
        """Return what is remembered before the first step.

        Parameters
        ----------
        params : ndarray of shape (n_params,), float32 or float64
            The parameters that will be trained; only shape and dtype are read.

        Returns
        -------
        state : dict of str to ndarray of shape (n_params,)
        """
        raise NotImplementedError(f"{type(self).__name__} must define init_state(params)")

    def step(self, params, grads, state, lr, t):
        """Change `params` and `state` in place.

        Parameters
        ----------
        params, grads : ndarray of shape (n,), float32 or float64
            A block of the parameters, and the gradient of the loss with respect to them; `grads`
            is scratch.
        state : dict of str to ndarray of shape (n,)
            The same block of the state, as the last step left it.
        lr : float
            Learning rate of this step.
        t : int
            Number of this step, from 1.
        """
        raise NotImplementedError(f"{type(self).__name__} must define step(...)")

    def penalized_step(self, params, grads, state, lr, t, strength):
        """Add the gradient of ``strength / 2 |params|**2`` to `grads`, then step.

        Parameters
        ----------
        params, grads, state, lr, t
            As in `step`.
        strength : float
            Not negative.

        Returns
        -------
        squares : float
            Sum of the squares of `params` before the step; zero if `strength` is.
        """
        squares = kernels.l2(params, grads, strength) if strength else 0.0
        self.step(params, grads, state, lr, t)
        return squares

    def row_step(self, params, grads, state, rows, lr, t, strength):
        """Take a penalised step for some rows of a matrix only; a `lazy` optimizer defines it.

        Parameters
        ----------
        params, grads : ndarray of shape (n, k)
            As in `step`, for a whole weight; `grads` is valid in `rows` only.
        state : dict of str to ndarray of shape (n, k)
        rows : ndarray of shape (m,), intp
            The rows to step, each once.
        lr, t, strength
            As in `penalized_step`.

        Returns
        -------
        growth : float
            What the sum of the squares of `params` grows by.
        """
        raise NotImplementedError(f"{type(self).__name__} must define row_step(...)")


class SGD(Optimizer):
    """Stochastic gradient descent with momentum.

    ``v = momentum v - lr g``, then ``p = p + v``; with Nesterov's momentum
    ``p = p + momentum v - lr g``.

    Parameters
    ----------
    momentum : float, default=0.9
        In [0, 1]: the share of the last step that is kept.
    nesterovs_momentum : bool, default=True
        Whether to look ahead along the momentum.

    References
    ----------
    I. Sutskever, J. Martens, G. Dahl, G. Hinton (2013), "On the importance of initialization and
    momentum in deep learning", section 2; in the rewriting that keeps the parameters at the
    look-ahead point.

    Examples
    --------
    >>> import numpy as np
    >>> p, sgd = np.array([1.0]), SGD(momentum=0.0)
    >>> sgd.step(p, np.array([1.0]), sgd.init_state(p), lr=0.25, t=1)
    >>> p
    array([0.75])
    """

    allowed = {"momentum": Range(0, 1), "nesterovs_momentum": Flag()}

    def __init__(self, momentum=0.9, nesterovs_momentum=True):
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum

    def init_state(self, params):
        return {"velocity": np.zeros_like(params)}

    def step(self, params, grads, state, lr, t):
        self.penalized_step(params, grads, state, lr, t, 0.0)

    def penalized_step(self, params, grads, state, lr, t, strength):
        return kernels.sgd_step(
            params, grads, state["velocity"], strength, lr,
            float(self.momentum), bool(self.nesterovs_momentum),
        )  # fmt: skip


class Adam(Optimizer):
    """Adam: steps scaled by running averages of the gradient and of its square.

    With ``m = beta_1 m + (1 - beta_1) g`` and ``v = beta_2 v + (1 - beta_2) g**2`` after t steps,
    ``p = p - lr_t m / (sqrt(v) + epsilon)``,
    ``lr_t = lr sqrt(1 - beta_2**t) / (1 - beta_1**t)``.

    Parameters
    ----------
    beta_1, beta_2 : float, default=0.9 and 0.999
        In [0, 1): decay rates of the two averages.
    epsilon : float, default=1e-8
        Positive; keeps the denominator from zero.

    References
    ----------
    D. P. Kingma, J. Ba (2015), "Adam: a method for stochastic optimization", algorithm 1 in the
    reordered form that ends section 2, where epsilon is added to the uncorrected root.

    Examples
    --------
    >>> import numpy as np
    >>> p, adam = np.array([1.0]), Adam()
    >>> adam.step(p, np.array([5.0]), adam.init_state(p), lr=0.25, t=1)
    >>> p.round(6)
    array([0.75])
    """

    allowed = {
        "beta_1": Range(0, 1, high_open=True),
        "beta_2": Range(0, 1, high_open=True),
        "epsilon": Range(0, low_open=True),
    }

    def __init__(self, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def init_state(self, params):
        return {"m": np.zeros_like(params), "v": np.zeros_like(params)}

    def step(self, params, grads, state, lr, t):
        self.penalized_step(params, grads, state, lr, t, 0.0)

    def penalized_step(self, params, grads, state, lr, t, strength):
        return kernels.adam_step(
            params, grads, state["m"], state["v"], strength, *self._folded(lr, t)
        )

    def _folded(self, lr, t):
        """Return the kernel's lr, beta_1, beta_2 and epsilon.

        Its m and v are the averages without their factors (1 - beta): pulling those and the bias
        corrections out of the fraction leaves one rate and one epsilon.
        """
        # Python floats take on the arrays' precision; NumPy's would draw float32 into float64.
        beta_1, beta_2 = float(self.beta_1), float(self.beta_2)
        root = math.sqrt(1 - beta_2)
        lr_t = lr * math.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        return lr_t * (1 - beta_1) / root, beta_1, beta_2, float(self.epsilon) / root


class LazyAdam(Adam):
    """Adam that, on sparse input, steps only the first layer's weights that a batch uses.

    Adam moves every weight in every step, by the memory of earlier gradients. This rule leaves the
    weights of an input alone, and their averages and their penalty too, in each batch in which that
    input is zero for all rows. It is another algorithm: rare inputs keep longer memories and are
    less penalised. It saves time where a batch uses a small share of very many inputs: slower at a
    quarter of them, half as fast again at a tenth, three times as fast at a twenty-fifth (rows in
    scattered places move more slowly than a whole matrix). On dense input it is Adam.

    Parameters
    ----------
    beta_1, beta_2, epsilon : float
        As in `Adam`; t counts all steps.

    References
    ----------
    The rule is known as LazyAdam in TensorFlow Addons and as SparseAdam in PyTorch.

    Examples
    --------
    >>> from scipy.sparse import random_array
    >>> from skbp import BackpropRegressor
    >>> X = random_array((500, 1000), density=0.01, format="csr", rng=0)
    >>> net = BackpropRegressor((5,), solver="lazy_adam", tol=0.1, random_state=0)
    >>> net.fit(X, X.sum(axis=1)).n_iter_ < 100
    True
    """

    lazy = True

    def row_step(self, params, grads, state, rows, lr, t, strength):
        return kernels.adam_rows(
            params, grads, state["m"], state["v"], rows, strength, *self._folded(lr, t)
        )


OPTIMIZERS: dict[str, type[Optimizer]] = {"sgd": SGD, "adam": Adam, "lazy_adam": LazyAdam}
