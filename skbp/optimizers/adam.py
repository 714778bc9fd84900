"""Adam and its relatives: steps scaled by averages of the gradient and of its square."""

import functools
import math

import numpy as np

from skbp import _kernels as kernels
from skbp._component import Range
from skbp.optimizers.base import SHARED, Optimizer


class _TwoAverages(Optimizer):
    """What the relatives of Adam share: two decay rates, epsilon, and two running averages.

    The state holds ``m = beta_1 m + g`` and ``v = beta_2 v + g**2``, the averages without their
    factors ``1 - beta``: those, and the corrections of the averages' bias towards their start from
    zero, are pulled out of the fraction into one rate and one epsilon.
    """

    #: Whether epsilon is added to the root of the corrected average, or to that of the plain one.
    epsilon_after_correction = True

    allowed = {
        "beta_1": Range(0, 1, high_open=True),
        "beta_2": Range(0, 1, high_open=True),
        "epsilon": Range(0, low_open=True),
        **SHARED,
    }

    def __init__(self, beta_1=0.9, beta_2=0.999, epsilon=1e-8, weight_decay=0.0, clip_norm=None,
                 clip_value=None, ema_decay=None, groups=None):  # fmt: skip
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        super().__init__(weight_decay, clip_norm, clip_value, ema_decay, groups)

    def init_state(self, params):
        return {"m": np.zeros_like(params), "v": np.zeros_like(params)}

    def _folded(self, lr, t):
        """Return lr, beta_1, beta_2 and epsilon for ``p -= lr m / (sqrt(v) + epsilon)``.

        With ``r = sqrt(1 - beta_2)`` and ``c = sqrt(1 - beta_2**t)`` the corrected root is
        ``sqrt(v) r / c``, and
        ``lr (1 - beta_1) / (1 - beta_1**t) m / (sqrt(v) r / c + epsilon)`` is
        ``lr (1 - beta_1) / (1 - beta_1**t) c / r m / (sqrt(v) + epsilon c / r)``.
        """
        # Python floats take on the arrays' precision; NumPy's would draw float32 into float64.
        beta_1, beta_2, epsilon = float(self.beta_1), float(self.beta_2), float(self.epsilon)
        root, correction = math.sqrt(1 - beta_2), math.sqrt(1 - beta_2**t)
        if self.epsilon_after_correction:
            epsilon *= correction
        rate = lr * correction / (1 - beta_1**t)
        return rate * (1 - beta_1) / root, beta_1, beta_2, epsilon / root


class Adam(_TwoAverages):
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
    weight_decay, clip_norm, clip_value, ema_decay, groups : optional
        What all optimizers have: see `Optimizer`.

    References
    ----------
    D. P. Kingma, J. Ba (2015), "Adam: a method for stochastic optimization", algorithm 1 in the
    reordered form that ends section 2, where epsilon is added to the uncorrected root: as in
    scikit-learn. `AdamW`, `NAdam` and `AMSGrad` add it to the corrected one, as PyTorch does.

    Examples
    --------
    >>> import numpy as np
    >>> p, adam = np.array([1.0]), Adam()
    >>> adam.step(p, np.array([5.0]), adam.init_state(p), lr=0.25, t=1)
    >>> p.round(6)
    array([0.75])
    """

    fused = True
    epsilon_after_correction = False

    def step(self, params, grads, state, lr, t):
        kernels.adam_step(params, grads, state["m"], state["v"], 0.0, *self._folded(lr, t))

    def penalized_step(self, params, grads, state, lr, t, strength, decay=1.0):
        return kernels.adam_step(
            params, grads, state["m"], state["v"], strength, *self._folded(lr, t), decay=decay
        )


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
    groups : list of Group or None, default=None
        See `Optimizer`. What else optimizers share looks at all weights in each update.

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
    allowed = {name: allowed for name, allowed in Adam.allowed.items() if name not in SHARED} | {
        "groups": SHARED["groups"]
    }

    def __init__(self, beta_1=0.9, beta_2=0.999, epsilon=1e-8, groups=None):
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.groups = groups

    def row_step(self, params, grads, state, rows, lr, t, strength):
        return kernels.adam_rows(
            params, grads, state["m"], state["v"], rows, strength, *self._folded(lr, t)
        )


class AdamW(Adam):
    """Adam with decoupled weight decay: weights shrink at a rate of their own.

    ``p = (1 - lr weight_decay) p - lr m' / (sqrt(v') + epsilon)`` with
    ``m' = m / (1 - beta_1**t)``, ``v' = v / (1 - beta_2**t)``, and m and v as in `Adam`.
    An L2 penalty (the estimators' `alpha`) goes through m and v, and large gradients weaken it;
    this decay does not. To have only this one, set `alpha` to 0. Biases do not decay.

    Parameters
    ----------
    weight_decay : float or Scheduled, default=0.01
        Not negative: the share of a weight that it loses a step is lr times this.
    beta_1, beta_2 : float, default=0.9 and 0.999
        In [0, 1): decay rates of the two averages.
    epsilon : float, default=1e-8
        Positive; keeps the denominator from zero.
    clip_norm, clip_value, ema_decay, groups : optional
        What all optimizers have: see `Optimizer`.

    References
    ----------
    I. Loshchilov, F. Hutter (2019), "Decoupled weight decay regularization", ICLR, algorithm 2.
    There the decay is multiplied by the schedule alone; here, as in PyTorch, by the learning rate.

    Examples
    --------
    >>> import numpy as np
    >>> weights, adamw = np.array([1.0]), AdamW(weight_decay=0.1)
    >>> state, decay = adamw.init_state(weights), 1 - 0.5 * adamw.weight_decay
    >>> adamw.penalized_step(weights, np.zeros(1), state, lr=0.5, t=1, strength=0.0, decay=decay)
    0.0
    >>> weights
    array([0.95])
    """

    epsilon_after_correction = True

    def __init__(self, weight_decay=0.01, beta_1=0.9, beta_2=0.999, epsilon=1e-8, clip_norm=None,
                 clip_value=None, ema_decay=None, groups=None):  # fmt: skip
        super().__init__(
            beta_1, beta_2, epsilon, weight_decay, clip_norm, clip_value, ema_decay, groups
        )


class AMSGrad(_TwoAverages):
    """Adam whose denominator never shrinks: steps by the largest average so far.

    ``p = p - lr m' / (sqrt(u') + epsilon)``, where u is the running maximum of v,
    ``m' = m / (1 - beta_1**t)``, ``u' = u / (1 - beta_2**t)``, and m and v are as in `Adam`.

    Parameters
    ----------
    beta_1, beta_2 : float, default=0.9 and 0.999
        In [0, 1): decay rates of the two averages.
    epsilon : float, default=1e-8
        Positive; keeps the denominator from zero.
    weight_decay, clip_norm, clip_value, ema_decay, groups : optional
        What all optimizers have: see `Optimizer`.

    References
    ----------
    S. J. Reddi, S. Kale, S. Kumar (2018), "On the convergence of Adam and beyond", ICLR, algorithm
    2; with Adam's correction of the averages' bias and with epsilon, as in PyTorch.

    Examples
    --------
    >>> import numpy as np
    >>> p, amsgrad = np.array([1.0]), AMSGrad()
    >>> amsgrad.step(p, np.array([5.0]), amsgrad.init_state(p), lr=0.25, t=1)
    >>> p.round(6)
    array([0.75])
    """

    def init_state(self, params):
        return {**super().init_state(params), "largest_v": np.zeros_like(params)}

    def step(self, params, grads, state, lr, t):
        m, v, largest = state["m"], state["v"], state["largest_v"]
        rate, beta_1, beta_2, epsilon = self._folded(lr, t)
        m *= beta_1
        m += grads
        np.square(grads, out=grads)
        v *= beta_2
        v += grads
        np.maximum(v, largest, out=largest)
        np.sqrt(largest, out=grads)
        grads += epsilon
        np.divide(m, grads, out=grads)
        grads *= rate
        params -= grads


class NAdam(_TwoAverages):
    """Adam with Nesterov's momentum.

    ``p = p - lr m' / (sqrt(v') + epsilon)`` with
    ``m' = (1 - mu_t) g / (1 - mu_1 ... mu_t) + mu_(t+1) m / (1 - mu_1 ... mu_(t+1))``,
    ``mu_t = beta_1 (1 - 0.96**(t momentum_decay) / 2)``, ``v' = v / (1 - beta_2**t)``, and m and v
    as in `Adam`.

    Parameters
    ----------
    beta_1, beta_2 : float, default=0.9 and 0.999
        In [0, 1): decay rates of the two averages.
    epsilon : float, default=1e-8
        Positive; keeps the denominator from zero.
    momentum_decay : float, default=0.004
        Not negative: how fast mu grows from about ``beta_1 / 2`` to `beta_1`.
    weight_decay, clip_norm, clip_value, ema_decay, groups : optional
        What all optimizers have: see `Optimizer`.

    References
    ----------
    T. Dozat (2016), "Incorporating Nesterov momentum into Adam", ICLR workshop; with the averages
    weighted by beta_1 and only the look-ahead by mu, as in PyTorch.

    Examples
    --------
    >>> import numpy as np
    >>> p, nadam = np.array([1.0]), NAdam()
    >>> nadam.step(p, np.array([5.0]), nadam.init_state(p), lr=0.25, t=1)
    >>> bool(0.5 < p[0] < 0.75)
    True
    """

    allowed = {**_TwoAverages.allowed, "momentum_decay": Range(0)}

    def __init__(self, beta_1=0.9, beta_2=0.999, epsilon=1e-8, momentum_decay=4e-3,
                 weight_decay=0.0, clip_norm=None, clip_value=None, ema_decay=None,
                 groups=None):  # fmt: skip
        super().__init__(
            beta_1, beta_2, epsilon, weight_decay, clip_norm, clip_value, ema_decay, groups
        )
        self.momentum_decay = momentum_decay

    def step(self, params, grads, state, lr, t):
        m, v = state["m"], state["v"]
        # `of_m` is the rate of Adam's step; what differs is the correction of m, and the weights.
        of_m, beta_1, beta_2, epsilon = self._folded(lr, t)
        of_m *= 1 - beta_1**t
        of_g = of_m / (1 - beta_1)
        decay = float(self.momentum_decay)
        of_g *= (1 - _mu(beta_1, decay, t)) / (1 - _product_of_mu(beta_1, decay, t))
        of_m *= _mu(beta_1, decay, t + 1) / (1 - _product_of_mu(beta_1, decay, t + 1))
        m *= beta_1
        m += grads
        scratch = np.square(grads)
        v *= beta_2
        v += scratch
        np.multiply(m, of_m, out=scratch)
        grads *= of_g
        grads += scratch
        np.sqrt(v, out=scratch)
        scratch += epsilon
        grads /= scratch
        params -= grads


def _mu(beta_1, decay, t):
    """Return NAdam's momentum in step t, a number or an array."""
    return beta_1 * (1 - 0.5 * 0.96 ** (t * decay))


@functools.lru_cache(maxsize=16)  # each block of the parameters asks for the same two
def _product_of_mu(beta_1, decay, t):
    """Return the product of NAdam's momenta in the steps from 1 to t.

    A function of t, not a running product, so that training can go on from any step. It is at most
    ``beta_1**t``: where that is lost in ``1 - product``, it is zero. So beta_1 = 0.9 multiplies no
    more than 355 numbers.
    """
    if beta_1**t < 2.0**-54:
        return 0.0
    return float(np.prod(_mu(beta_1, decay, np.arange(1, t + 1))))


class RAdam(_TwoAverages):
    """Adam that trusts the average of squares only as far as it has seen gradients.

    With ``m' = m / (1 - beta_1**t)``, m and v as in `Adam`, and
    ``rho_t = rho - 2 t beta_2**t / (1 - beta_2**t)``, ``rho = 2 / (1 - beta_2) - 1``:
    ``p = p - lr m'`` while ``rho_t <= 5``, then
    ``p = p - lr r_t sqrt(1 - beta_2**t) m' / (sqrt(v) + epsilon)``, where
    ``r_t**2 = (rho_t - 4) (rho_t - 2) rho / ((rho - 4) (rho - 2) rho_t)`` grows towards 1.
    The first steps are gradient descent, as large as the gradient is; for beta_2 up to 2/3 all are.

    Parameters
    ----------
    beta_1, beta_2 : float, default=0.9 and 0.999
        In [0, 1): decay rates of the two averages.
    epsilon : float, default=1e-8
        Positive; keeps the denominator from zero.
    weight_decay, clip_norm, clip_value, ema_decay, groups : optional
        What all optimizers have: see `Optimizer`.

    References
    ----------
    L. Liu, H. Jiang, P. He, W. Chen, X. Liu, J. Gao, J. Han (2020), "On the variance of the
    adaptive learning rate and beyond", ICLR, algorithm 2. There the bound is 4; 5, and epsilon
    beside the uncorrected root, are PyTorch's.

    Examples
    --------
    >>> import numpy as np
    >>> p, radam = np.array([1.0]), RAdam()
    >>> radam.step(p, np.array([2.0]), radam.init_state(p), lr=0.25, t=1)
    >>> p.round(6)
    array([0.5])
    """

    epsilon_after_correction = False

    def step(self, params, grads, state, lr, t):
        m, v = state["m"], state["v"]
        rate, beta_1, beta_2, epsilon = self._folded(lr, t)
        rectifier = self._rectifier(t)
        if rectifier:
            kernels.adam_step(params, grads, m, v, 0.0, rate * rectifier, beta_1, beta_2, epsilon)
            return
        m *= beta_1
        m += grads
        np.square(grads, out=grads)
        v *= beta_2
        v += grads
        np.multiply(m, lr * (1 - beta_1) / (1 - beta_1**t), out=grads)
        params -= grads

    def _rectifier(self, t):
        """Return r_t; zero while the average of squares is not to be trusted."""
        beta_2 = float(self.beta_2)
        most = 2 / (1 - beta_2) - 1
        rho = most - 2 * t * beta_2**t / (1 - beta_2**t)
        if rho <= 5:
            return 0.0
        return math.sqrt((rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho))
