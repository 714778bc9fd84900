"""An alarm when a share rises."""

from fractions import Fraction
from math import ceil, log
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu
from scipy.stats import beta
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from skbp._component import Range, Whole, check_allowed
from skbp._forms import REAL, Is, Values, fits_form
from skbp._plain import kept
from skbp._plain_state import PlainState

#: The largest denominator of what a text that is not negative takes off the sum, save that small
#: shares may need a larger one. With 30 that fraction is off by .01 at most.
DENOMINATOR = 30
#: The largest threshold, in units.
HIGHEST = 2**17
#: Shares that stand for all that are plausible after the history: nodes and weights on (0, 1).
NODES = np.polynomial.legendre.leggauss(16)


@kept
class Alarm(NamedTuple):
    """What `SurgeDetector.update` reports.

    Parameters
    ----------
    topic : object
        The topic; None without topics.
    at : int
        Which text raised the alarm. The first text after `fit` is number 0.
    since : int
        Which text the surge seems to have begun with: the first one since the sum was last zero.
    n_texts, n_negative : int
        Texts of the topic from then on, and the negative ones among them.
    """

    topic: object
    at: int
    since: int
    n_texts: int
    n_negative: int


class SurgeDetector(PlainState, BaseEstimator):
    """Raises an alarm when the share of negative texts rises, for each topic of a stream.

    It is a CUSUM of Bernoulli variables. Each topic has a sum of log-likelihood ratios of a raised
    share against the usual one. The sum never falls below zero. A negative text adds to it, any
    other takes a little off; an alarm is raised when it reaches a threshold, and it then starts
    again from zero. So a large surge is found after few texts and a small one after more, wherever
    in a batch it begins.

    Parameters
    ----------
    run_length : float, default=10000
        The mean number of texts between two false alarms, of all topics together, > 1. With 2,000
        texts a week and one false alarm in ten weeks it is 20,000. Topics share the alarms evenly.
    odds_ratio : float, default=2.0
        The surge to be found soonest, > 1: by how much the odds of a negative text rise. With 2, a
        share of .1 becomes .18, and .2 becomes .33. Other surges are found too.

    Attributes
    ----------
    baseline_ : dict of object to float
        The usual share of each topic.
    threshold_ : dict of object to float
        The sums at which alarms are raised, in negative texts.
    sum_ : dict of object to float
        The sums now.
    n_seen_ : int
        Texts since `fit`.

    See Also
    --------
    share_interval : The share itself.

    Notes
    -----
    The sums lie on a lattice, so the mean number of texts to an alarm is the solution of a system
    of linear equations (a Markov chain). The usual share is known from the history only, and a
    slightly larger one would give many more alarms. So thresholds are set for the alarm rate in
    the mean over the posterior of the share (a beta distribution, with Jeffreys's prior). A short
    history makes them higher.

    With the labels of a classifier all of this holds for the share that it finds, if history and
    stream come from the same classifier. It must not have been trained on the history.

    References
    ----------
    E. S. Page (1954), "Continuous inspection schemes".
    G. Lorden (1971), "Procedures for reacting to a change in distribution": no other rule with as
    few false alarms is faster, asymptotically and for the worst history.
    M. R. Reynolds, Z. G. Stoumbos (1999), "A CUSUM chart for monitoring a proportion when
    inspecting continuously", sections 3 and 4: the Bernoulli CUSUM and its Markov chain.

    Examples
    --------
    >>> import numpy as np
    >>> from skbp.text import SurgeDetector
    >>> rng = np.random.default_rng(0)
    >>> detector = SurgeDetector(run_length=5000).fit(rng.random(2000) < 0.1)
    >>> detector.update(rng.random(300) < 0.1)
    []
    >>> alarm = detector.update(rng.random(100) < 0.5)[0]
    >>> alarm.at - 300 < 30, alarm.n_negative / alarm.n_texts > 0.3
    (True, True)
    """

    def __init__(self, run_length=10_000.0, odds_ratio=2.0):
        self.run_length = run_length
        self.odds_ratio = odds_ratio

    def fit(self, negative, topics=None):
        """Learn the usual shares from a quiet history, and set the thresholds.

        Parameters
        ----------
        negative : array-like of shape (n,), bool or 0 and 1
            Whether each text is negative.
        topics : array-like of shape (n,), optional
            The topic of each text. None: all are of one.

        Returns
        -------
        self : SurgeDetector

        Raises
        ------
        ValueError
            If a parameter or the data are not as described, or the history says too little of the
            shares for `run_length`. The detector then is as it was.
        """
        check_allowed(self, {
            "run_length": Range(1, low_open=True), "odds_ratio": Range(1, low_open=True),
        })  # fmt: skip
        negative, topics = _checked(negative, topics)
        names = list(dict.fromkeys(topics))
        charts = {}
        for name in names:
            own = negative[[topic == name for topic in topics]]
            target = self.run_length * len(names) * len(own) / len(negative)
            charts[name] = _Chart(int(own.sum()), len(own), self.odds_ratio, target)
        self._charts, self.n_seen_ = charts, 0
        return self

    def update(self, negative, topics=None):
        """Take in a batch of texts, in their order.

        Parameters
        ----------
        negative : array-like of shape (n,), bool or 0 and 1
            Whether each text is negative. There may be none.
        topics : array-like of shape (n,), optional
            The topic of each text, if `fit` was given topics.

        Returns
        -------
        alarms : list of Alarm
            In the order of the texts that raised them; empty if all is quiet.

        Raises
        ------
        ValueError
            If the data are not as described, or a topic is new. The detector then is as it was.
        """
        check_is_fitted(self)
        negative, topics = _checked(negative, topics, least=0)
        for i, topic in enumerate(topics):
            if topic not in self._charts:
                raise ValueError(
                    f"topics[{i}] is {topic!r}, and fit has seen {list(self._charts)}: there is no "
                    "usual share to compare with. Fit again with texts of this topic."
                )
        alarms = []
        for is_negative, topic in zip(negative.tolist(), topics, strict=True):
            found = self._charts[topic].step(is_negative, self.n_seen_)
            if found is not None:
                alarms.append(Alarm(topic, self.n_seen_, *found))
            self.n_seen_ += 1
        return alarms

    def mean_texts(self, share):
        """Return the mean number of texts of each topic until an alarm, if its share were this.

        Parameters
        ----------
        share : float or dict of object to float
            In [0, 1); a dict has one for each topic. With the usual shares these are the distances
            of false alarms; with larger ones the delays of true ones.

        Returns
        -------
        texts : dict of object to float
        """
        check_is_fitted(self)
        shares = share if isinstance(share, dict) else dict.fromkeys(self._charts, share)
        for topic, value in shares.items():
            if topic not in self._charts or value not in Range(0, 1, high_open=True):
                raise ValueError(
                    f"share has {value!r} for {topic!r}; expected numbers in [0, 1) for topics "
                    f"among {list(self._charts)}."
                )
        return {topic: self._charts[topic].mean_texts(value) for topic, value in shares.items()}

    @property
    def baseline_(self):
        """The usual share of each topic."""
        return {topic: chart.share for topic, chart in self._charts.items()}

    @property
    def threshold_(self):
        """The sums at which alarms are raised, in negative texts."""
        return {topic: chart.height / chart.unit for topic, chart in self._charts.items()}

    @property
    def sum_(self):
        """The sums now, in negative texts."""
        return {topic: chart.sum / chart.unit for topic, chart in self._charts.items()}

    def _check_parts(self):
        fits_form(self, {"_charts": Values(Is(_Chart)), "n_seen_": Whole()})

    def __sklearn_is_fitted__(self):
        """Whether there are thresholds."""
        return hasattr(self, "_charts")


@kept
class _Chart:
    """The sum of one topic.

    Log-likelihood ratios are divided by the logarithm of the odds ratio: a negative text then adds
    1 - r and any other takes off r, with ``r = log((1 - p) / (1 - q)) / log(odds_ratio)`` for the
    usual share p and the raised share q. As r becomes a fraction ``down / unit``, all sums are
    whole numbers of units.

    Parameters
    ----------
    n_negative, n : int
        Of the history.
    odds_ratio, target : float
        As `SurgeDetector` has them; the target is in texts of this topic.
    """

    _form = {
        "share": REAL, "down": Whole(1), "unit": Whole(1), "height": Whole(1), "sum": Whole(),
        "since": Whole(), "n_texts": Whole(), "n_negative": Whole(),
    }  # fmt: skip

    def __init__(self, n_negative, n, odds_ratio, target):
        posterior = beta(n_negative + 0.5, n - n_negative + 0.5)
        self.share = float(posterior.mean())
        raised = self.share * odds_ratio / (1 + self.share * (odds_ratio - 1))
        slope = log((1 - self.share) / (1 - raised)) / log(odds_ratio)
        fraction = Fraction(slope).limit_denominator(max(DENOMINATOR, ceil(1 / slope)))
        self.down, self.unit = fraction.numerator, fraction.denominator
        plausible = posterior.ppf((NODES[0] + 1) / 2)
        self.height = self._lowest(plausible, NODES[1] / 2, target)
        self.sum, self.since, self.n_texts, self.n_negative = 0, 0, 0, 0

    def _lowest(self, shares, weights, target):
        """Return the lowest threshold with at most one alarm in `target` texts, in the mean."""

        def is_rare(height):
            alarms = 0.0
            for share, weight in zip(shares[::-1], weights[::-1], strict=True):  # most come first
                alarms += weight * target / mean_texts(share, self.down, self.unit, height)
                if alarms > 1:
                    return False
            return True

        high = 1
        while not is_rare(high):
            high *= 2
            if high > HIGHEST:
                raise ValueError(
                    f"a history with texts of a topic so few, or so negative, that its share may "
                    f"be {shares[-1]:.3f}, suits no threshold with one alarm in {target:.6g} texts "
                    "of it. Give a longer history, a smaller run_length or a larger odds_ratio."
                )
        low = high // 2  # not rare, or 0
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if is_rare(middle) else (middle, high)
        return high

    def mean_texts(self, share):
        """Return the mean number of texts to an alarm."""
        return mean_texts(share, self.down, self.unit, self.height)

    def step(self, is_negative, number):
        """Take in a text; return what there is to say of an alarm, or None."""
        if self.sum == 0:
            self.since, self.n_texts, self.n_negative = number, 0, 0
        self.n_texts += 1
        self.n_negative += is_negative
        self.sum = max(0, self.sum + self.unit * is_negative - self.down)
        if self.sum < self.height:
            return None
        self.sum = 0
        return self.since, self.n_texts, self.n_negative


def mean_texts(share, down, unit, height):
    """Return the mean number of texts until a sum that starts at zero reaches a height.

    From zero the sum runs in rounds, each of which ends at zero or with an alarm. With L(s) the
    mean number of texts to the end of the round for a sum of s, and A(s) the probability of an
    alarm, ``L(s) = 1 + share * L(s + unit - down) + (1 - share) * L(s - down)``, where L is 0 from
    the height on and after a return to zero; A likewise, with share for 1 where a negative text
    raises the alarm. By Wald's identity the mean is L(0) / A(0), in which nothing cancels out,
    however rare alarms are.

    Parameters
    ----------
    share : float
        Of negative texts.
    down, unit, height : int

    Returns
    -------
    texts : float
        Infinite if there is no alarm, or none within what a float can count.
    """
    start = np.arange(height)
    up, back = start + unit - down, start - down
    inside, above = (up > 0) & (up < height), back > 0
    rows = np.concatenate([start, start[inside], start[above]])
    columns = np.concatenate([start, up[inside], back[above]])
    values = np.repeat([1.0, -share, share - 1.0], [height, inside.sum(), above.sum()])
    chain = sparse.csc_matrix((values, (rows, columns)), (height, height))
    sides = np.column_stack([np.ones(height), np.where(up >= height, share, 0.0)])
    length, alarm = splu(chain).solve(sides)[0].tolist()
    return length / alarm if alarm > 0 else np.inf


def _checked(negative, topics, least=1):
    """Return an array of bools and a list of topics."""
    values = np.asarray(negative)
    if values.ndim != 1 or len(values) < least:
        raise ValueError(
            f"negative has shape {values.shape}, expected one value a text, at least {least}."
        )
    if not np.isin(values, (0, 1)).all():
        raise ValueError("negative has other values than True and False, or 1 and 0.")
    if topics is None:
        return values.astype(bool), [None] * len(values)
    topics = np.asarray(topics).tolist()
    if len(topics) != len(values):
        raise ValueError(f"there are {len(values)} texts and {len(topics)} topics.")
    for i, topic in enumerate(topics):
        if topic != topic:  # NaN, which is no topic, not even the same as itself
            raise ValueError(f"topics[{i}] is {topic}. Leave the text out, or name its topic.")
    return values.astype(bool), topics
