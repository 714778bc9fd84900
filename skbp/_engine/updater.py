"""Updates: the penalty's gradient and the optimizer's step, block by block."""

from typing import NamedTuple

import numpy as np

from skbp import _kernels as kernels
from skbp._engine.regularization import Clip, add_l1
from skbp._kernels.numpy_kernels import UPDATE_BLOCK as CACHE_BLOCK
from skbp.schedules import Schedule, Scheduled
from skbp.schedules.scheduled import value_at

#: Up to so many parameters, fewer calls count for more than fewer passes.
FEW_PARAMETERS = 8192


class Rule(NamedTuple):
    """How a parameter is stepped: factor of the rate, weight decay, and a schedule of its own.

    skipped : steps that it was frozen for, so that the optimizer counts its own; frozen : whether
    it is left as it is.
    """

    factor: float = 1.0
    weight_decay: float | Scheduled = 0.0
    schedule: Schedule | None = None
    skipped: int = 0
    frozen: bool = False

    def rate(self, lr, progress, initial):
        """Return the learning rate, given that of the estimator's schedule; see `Updater`."""
        if self.schedule is not None and initial is not None:
            lr = float(self.schedule(progress, initial))
        return lr * self.factor


def rules_of(optimizer, network):
    """Return, for each of a network's parameters, what an optimizer's groups make of it.

    Raises
    ------
    ValueError
        If a group's pattern fits no parameter.
    """
    decay = optimizer.weight_decay
    rules = [Rule(weight_decay=decay if one.penalized else 0.0) for one in network.parameters]
    for group in optimizer.groups or ():
        settings = {"factor": group.rate, "weight_decay": group.weight_decay}
        settings["schedule"] = group.own_schedule()
        given = {name: value for name, value in settings.items() if value is not None}
        for number in network.matching(group.pattern):
            rules[number] = rules[number]._replace(**given)
    return [rule._replace(frozen=rule.factor == 0) for rule in rules]


class Segment(NamedTuple):
    """Parameters next to each other, ``params[start:stop]``, that are stepped alike.

    matrix : number of columns, if an optimizer wants it as a matrix; else 0.
    """

    penalized: bool
    rule: Rule
    start: int
    stop: int
    matrix: int = 0

    def goes_on(self, other):
        """Whether another segment, the next one, is stepped alike."""
        return not self.matrix and (self.penalized, self.rule) == (other.penalized, other.rule)


class Updater:
    """Applies an optimizer to a network's parameters.

    Parameters
    ----------
    optimizer : Optimizer
        The rule; its groups and its limits of the gradient too.
    network : Network
        Whose `params` are changed in place, save those that it has frozen.
    grads : ndarray of shape (n_params,)
        Where each step finds the gradient of the loss.
    state : dict of str to ndarray of shape (n_params,)
        The optimizer's state, changed in place.
    lazy : bool, default=False
        Whether batches are CSR matrices that know their columns, and the first layer's weight is
        to be updated in those rows only.
    skipped : sequence of int, default=()
        For each parameter the number of steps it was frozen for; empty where all are zero.
    initial : float or None, default=None
        The rate that groups' schedules start from; None: these take no part.
    after : sequence of callable, default=()
        Called after each step.
    """

    def __init__(self, optimizer, network, grads, state, lazy=False, skipped=(), initial=None,
                 after=()):  # fmt: skip
        self._optimizer, self._initial, self._after = optimizer, initial, tuple(after)
        self._clip = Clip(optimizer.clip_value, optimizer.clip_norm)
        self._penalized = network.params[: network.n_penalized], grads[: network.n_penalized]
        self._grads = grads
        rules = self._rules_now(network, skipped)
        self._lazy = LazyRows(optimizer, network, grads, state, rules[0]) if lazy else None
        segments = self._segments(network, rules, network.first_weight_size() if lazy else 0)
        self._penalized_first = None
        # Weight decay is for the weights alone: their blocks, not one step for all.
        if self._all_at_once(segments):
            start, middle = segments[0].start, network.n_penalized
            self._penalized_first = network.params[start:middle], grads[start:middle]
            segments = [Segment(False, segments[0].rule, start, network.params.size)]
        still = [segment for segment in segments if segment.rule.frozen]
        self._frozen_grads = [grads[one.start : one.stop] for one in still]
        self._frozen_weights = [network.params[s.start : s.stop] for s in still if s.penalized]
        moving = [segment for segment in segments if not segment.rule.frozen]
        self._rules = list(dict.fromkeys(segment.rule for segment in moving))
        self._plain = self._rules == [Rule()]
        self._blocks = [
            (segment.penalized, self._rules.index(segment.rule), *arrays)
            for segment in moving
            for arrays in self._arrays(segment, network.params, grads, state)
        ]

    def _rules_now(self, network, skipped):
        return [
            rule._replace(
                frozen=rule.frozen or number in network.frozen,
                skipped=skipped[number] if skipped else 0,
            )
            for number, rule in enumerate(rules_of(self._optimizer, network))
        ]

    def _segments(self, network, rules, start):
        """Return the parameters from `start` on, those together that are stepped alike."""
        last = len(network.layers) - 1
        matrices = [
            one.shape[-1] if self._optimizer.by_array and one.penalized and len(one.shape) > 1
            and not one.table and one.layer != last else 0
            for one in network.parameters
        ]  # fmt: skip
        found: list[Segment] = []
        for one, rule, matrix in zip(network.parameters, rules, matrices, strict=True):
            segment = Segment(one.penalized, rule, max(one.start, start), one.stop, matrix)
            if segment.start >= segment.stop:
                continue
            if found and not matrix and found[-1].goes_on(segment):
                found[-1] = found[-1]._replace(stop=one.stop)
            else:
                found.append(segment)
        return found

    def _all_at_once(self, segments):
        """Whether one step may do for all parameters, the penalty being added before."""
        if not segments or segments[-1].stop - segments[0].start > FEW_PARAMETERS:
            return False
        rules = {segment.rule for segment in segments}
        return rules == {Rule()} and not self._optimizer.by_array

    def _arrays(self, segment, params, grads, state):
        """Yield parameters, gradients and state of a segment, a block at a time."""
        if segment.matrix:
            part, shape = slice(segment.start, segment.stop), (-1, segment.matrix)
            own = {name: array[part].reshape(shape) for name, array in state.items()}
            yield params[part].reshape(shape), grads[part].reshape(shape), own
            return
        size = kernels.UPDATE_BLOCK if self._optimizer.fused else CACHE_BLOCK
        size = min(size, kernels.UPDATE_BLOCK) // params.itemsize
        for at in range(segment.start, segment.stop, size):
            part = slice(at, min(at + size, segment.stop))
            yield params[part], grads[part], {name: array[part] for name, array in state.items()}

    def begin_epoch(self):
        """Forget what came of earlier epochs but weights and state: a resumed fit has no more."""
        if self._lazy:
            self._lazy.sum_squares()

    def step(self, lr, t, l2, l1=0.0, x=None, progress=None):
        """Take step number `t` at rate `lr`.

        Parameters
        ----------
        lr : float
            Learning rate.
        t : int
            Number of the step, from 1.
        l2, l1 : float
            Factors of the penalty ``l2 / 2 |W|**2 + l1 |W|_1``, whose gradient is added first.
        x : CSR, optional
            The batch, for a lazy update.
        progress : Progress, optional
            For what has a schedule of its own.

        Returns
        -------
        penalty : float
            The penalty before the step.
        """
        if self._clip:
            for part in self._frozen_grads:
                part.fill(0)
            self._clip(self._grads)
        penalty = add_l1(*self._penalized, l1) if l1 else 0.0
        squares = 0.0
        if self._lazy:
            rate = self._lazy.rule.rate(lr, progress, self._initial)
            squares += self._lazy.step(rate, t, l2, x.columns)
        if self._penalized_first and l2:
            squares += kernels.l2(*self._penalized_first, l2)
        for weights in self._frozen_weights if l2 else ():
            squares += float(np.dot(weights, weights))
        settings = [(lr, t, 1.0)] if self._plain else self._settings(lr, t, progress)
        optimizer = self._optimizer
        for penalized, number, params, grads, state in self._blocks:
            rate, own_t, decay = settings[number]
            if penalized or decay != 1:
                strength = l2 if penalized else 0.0
                squares += optimizer.penalized_step(
                    params, grads, state, rate, own_t, strength, decay
                )
            else:
                optimizer.step(params, grads, state, rate, own_t)
        for change in self._after:
            change()
        return penalty + 0.5 * l2 * squares

    def _settings(self, lr, t, progress):
        """Return for each rule its rate, the number of its step, and the factor of its decay."""
        settings = []
        for rule in self._rules:
            rate = rule.rate(lr, progress, self._initial)
            decay = 1 - rate * value_at(rule.weight_decay, progress)
            settings.append((rate, t - rule.skipped, decay))
        return settings


class LazyRows:
    """Updates only those rows of the first layer's weight whose inputs occur in a batch.

    The sum of squares that the penalty needs is kept up to date by the rows that change.
    """

    def __init__(self, optimizer, network, grads, state, rule):
        self.rule = rule
        shape = network.views[0]["weight"].shape
        part = slice(network.first_weight_size())
        self._optimizer = optimizer
        self._params, self._grads = network.params[part].reshape(shape), grads[part].reshape(shape)
        self._state = {name: array[part].reshape(shape) for name, array in state.items()}
        self.sum_squares()

    def sum_squares(self):
        """Sum the squares anew, which also rids the sum of rounding errors."""
        self.squares = float(np.einsum("ij,ij->i", self._params, self._params).sum())

    def step(self, lr, t, strength, columns):
        """Step the given rows; returns the sum of the squares of all rows before the step."""
        before = self.squares
        if not self.rule.frozen:
            t -= self.rule.skipped
            self.squares += self._optimizer.row_step(
                self._params, self._grads, self._state, columns, lr, t, strength
            )
        return before
