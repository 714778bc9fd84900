"""Alarms of surges: closed forms, simulations, and a CUSUM of plain log-likelihood ratios."""

import pickle
from math import log

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import beta
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skbp.text import Alarm, SurgeDetector
from skbp.text.surge import mean_texts


def quiet(n=4000, share=0.2, seed=0):
    return np.random.default_rng(seed).random(n) < share


def plain_cusum(negative, usual, raised, threshold):
    """Return the numbers of texts that raise alarms: sums of logarithms, nothing else."""
    total, alarms = 0.0, []
    for i, is_negative in enumerate(negative):
        ratio = raised / usual if is_negative else (1 - raised) / (1 - usual)
        total = max(0.0, total + log(ratio))
        if total >= threshold - 1e-9:
            alarms.append(i)
            total = 0.0
    return alarms


# ------------------------------------------------------------ the Markov chain


@pytest.mark.parametrize("height", [1, 2, 7, 40])
def test_mean_texts_of_a_fair_walk(height):
    # One up or one down with equal odds, never below zero: h (h + 1) steps.
    assert mean_texts(0.5, 1, 2, height) == pytest.approx(height * (height + 1))


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.7])
@pytest.mark.parametrize("height", [1, 2, 7, 40, 100])
def test_mean_texts_of_a_walk_that_is_not_fair(share, height):
    other = 1 - share
    drift = share - other
    expected = height / drift + other / drift**2 * ((other / share) ** height - 1)
    assert mean_texts(share, 1, 2, height) == pytest.approx(expected)  # up to 1e199


def test_mean_texts_without_alarms():
    assert mean_texts(0.5, 1, 1, 10) == np.inf  # a sum that never rises
    assert mean_texts(0.1, 1, 2, 1000) == np.inf  # more than a float holds


def test_mean_texts_of_the_first_negative():
    for share in (0.01, 0.3, 1.0):
        assert mean_texts(share, 3, 10, 7) == pytest.approx(1 / share)
    assert mean_texts(0.0, 3, 10, 7) == np.inf


@pytest.mark.parametrize("share", [0.2, 0.35])
def test_mean_texts_against_a_simulation(share):
    down, unit, height = 5, 19, 60
    rng, times = np.random.default_rng(0), []
    sums, clock = np.zeros(4000, int), np.zeros(4000, int)
    for _ in range(20_000):
        if not len(sums):
            break
        sums = np.maximum(0, sums + unit * (rng.random(len(sums)) < share) - down)
        clock += 1
        done = sums >= height
        times += clock[done].tolist()
        sums, clock = sums[~done], clock[~done]
    assert len(times) == 4000
    error = np.std(times) / np.sqrt(len(times))
    assert abs(np.mean(times) - mean_texts(share, down, unit, height)) < 3 * error


# ------------------------------------------------------------ the detector


@pytest.mark.parametrize("share, odds_ratio", [(0.2, 2.0), (0.05, 3.0), (0.5, 1.5)])
def test_it_is_a_cusum_of_likelihood_ratios(share, odds_ratio):
    history = quiet(20_000, share)
    detector = SurgeDetector(500, odds_ratio).fit(history)
    usual, threshold = detector.baseline_[None], detector.threshold_[None]
    chart = detector._charts[None]
    slope = chart.down / chart.unit
    # The raised share whose likelihood ratios have exactly the slope that was rounded.
    low, high = usual, 1.0
    for _ in range(60):
        raised = (low + high) / 2
        odds = raised * (1 - usual) / usual / (1 - raised)
        low, high = (raised, high) if log((1 - usual) / (1 - raised)) / log(odds) < slope else (
            low, raised
        )  # fmt: skip
    assert odds == pytest.approx(odds_ratio, rel=0.1)
    stream = quiet(5000, share, seed=1)
    stream[3000:] |= quiet(2000, 0.3, seed=2)
    expected = plain_cusum(stream, usual, raised, threshold * log(odds))
    assert [alarm.at for alarm in detector.update(stream)] == expected
    assert len(expected) > 5


@pytest.mark.parametrize("n_history", [300, 5000])
def test_false_alarms_are_as_rare_as_asked_for(n_history):
    """In the mean over histories: shares drawn, histories drawn, alarm rates by the chain."""
    rng, target, rates = np.random.default_rng(0), 300, []
    for share in rng.uniform(0.1, 0.3, 20):
        detector = SurgeDetector(target).fit(rng.random(n_history) < share)
        rates.append(target / detector.mean_texts(float(share))[None])
    error = np.std(rates) / np.sqrt(len(rates))
    assert abs(np.mean(rates) - 0.92) < 3 * error + 0.08


def test_topics_share_the_false_alarms():
    rng = np.random.default_rng(0)
    topics = rng.choice(["hotel", "book"], 40_000, p=[0.8, 0.2])
    usual = np.where(topics == "hotel", 0.3, 0.05)
    detector = SurgeDetector(1000).fit(rng.random(40_000) < usual, topics)
    assert detector.baseline_ == pytest.approx({"hotel": 0.3, "book": 0.05}, rel=0.1)
    found = detector.mean_texts(detector.baseline_)
    assert found == pytest.approx({"hotel": 1600, "book": 400}, rel=0.15)
    new = rng.choice(["hotel", "book"], 60_000, p=[0.8, 0.2])
    alarms = detector.update(rng.random(60_000) < np.where(new == "hotel", 0.3, 0.05), new)
    assert 35 < len(alarms) < 85
    assert all(new[alarm.at] == alarm.topic for alarm in alarms)


def test_delays_are_those_of_the_chain():
    detector = SurgeDetector(5000).fit(quiet())
    expected = detector.mean_texts(0.4)[None]
    rng, delays = np.random.default_rng(1), []
    for _ in range(300):
        fresh = pickle.loads(pickle.dumps(detector))
        delays.append(fresh.update(rng.random(3000) < 0.4)[0].at + 1)
    assert abs(np.mean(delays) - expected) < 3 * np.std(delays) / np.sqrt(300)
    assert expected < 100 < detector.mean_texts(0.3)[None] < 5000


def test_what_an_alarm_tells():
    detector = SurgeDetector(1000).fit(quiet())
    assert detector.update(np.zeros(50, int)) == []
    first, second, *_ = detector.update([0, 0, *[1] * 4, 0, *[1] * 40])
    assert first.topic is None and first.since == 52
    assert first.n_texts == first.at - 52 + 1 == first.n_negative + 1
    assert second.since == first.at + 1 and second.n_texts == second.n_negative
    assert isinstance(first, Alarm)


def test_batches_do_not_matter_and_state_pickles():
    stream = quiet(6000, 0.27, seed=3)
    topics = np.random.default_rng(0).choice(["a", "b"], 6000)
    detector = SurgeDetector(500).fit(quiet(), ["a", "b"] * 2000)
    whole = pickle.loads(pickle.dumps(detector)).update(stream, topics)
    parts = []
    for start in range(0, 6000, 70):
        detector = pickle.loads(pickle.dumps(detector))
        parts += detector.update(stream[start : start + 70], topics[start : start + 70])
    assert parts == whole and len(whole) > 10
    assert detector.n_seen_ == 6000
    assert detector.update([]) == []


def test_topics_do_not_touch_each_other():
    both = SurgeDetector(500).fit(quiet(), ["a", "b"] * 2000)
    alone = pickle.loads(pickle.dumps(both))
    stream, topics = quiet(3000, 0.3, seed=3), np.array(["a", "b"] * 1500)
    found = both.update(stream, topics)
    own = alone.update(stream[::2], topics[::2])
    assert [alarm.at for alarm in found if alarm.topic == "a"] == [2 * alarm.at for alarm in own]
    assert both.sum_["a"] == alone.sum_["a"] and alone.sum_["b"] == 0


def test_the_sum_follows_the_recursion():
    detector = SurgeDetector(1e6).fit(quiet())
    slope = detector._charts[None].down / detector._charts[None].unit
    stream = quiet(400, 0.2, seed=5)
    detector.update(stream)
    walk = lfilter([1], [1, -1], stream - slope)
    assert detector.sum_[None] == pytest.approx(walk[-1] - min(0, walk.min()))


def test_a_short_history_makes_it_careful():
    heights = [SurgeDetector().fit([1, 0, 0, 0, 0] * n).threshold_[None] for n in (20, 100, 2000)]
    assert heights[0] > heights[1] > heights[2]


def test_the_threshold_after_a_few_texts_is_the_lowest():
    chart = SurgeDetector().fit([1] * 13 + [0] * 7)._charts[None]
    shares = beta(13.5, 7.5).ppf((np.arange(2000) + 0.5) / 2000)
    rates = [1 / mean_texts(share, chart.down, chart.unit, chart.height) for share in shares]
    assert 10_000 * np.mean(rates) == pytest.approx(1, abs=0.02)


def test_a_history_that_says_nothing_is_refused():
    with pytest.raises(ValueError, match=r"suits no threshold with one alarm in 1e.07 texts"):
        SurgeDetector(run_length=1e7).fit([1])
    always = SurgeDetector().fit(np.ones(100_000))  # no surge is possible
    assert always.update(np.ones(1000)) == []


def test_parameters_and_not_fitted():
    detector = clone(SurgeDetector(run_length=50, odds_ratio=3.0))
    assert detector.get_params() == {"run_length": 50, "odds_ratio": 3.0}
    with pytest.raises(NotFittedError):
        detector.update([1])
    with pytest.raises(NotFittedError):
        detector.mean_texts(0.1)


@pytest.mark.parametrize(
    "params, negative, topics, message",
    [
        ({"run_length": 1}, [1, 0], None, "'run_length'"),
        ({"odds_ratio": 1.0}, [1, 0], None, "'odds_ratio'"),
        ({}, [], None, r"shape \(0,\), expected one value a text, at least 1"),
        ({}, [[1, 0]], None, r"shape \(1, 2\)"),
        ({}, [0.5, 1], None, "other values than True and False"),
        ({}, [np.nan, 1], None, "other values"),
        ({}, ["yes", "no"], None, "other values"),
        ({}, [1, 0], ["a"], "2 texts and 1 topics"),
        ({}, [1, 0], [1.0, np.nan], r"topics\[1\] is nan"),
    ],
)
def test_bad_history(params, negative, topics, message):
    detector = SurgeDetector().fit(quiet())
    before = detector.threshold_
    with pytest.raises(ValueError, match=message):
        detector.set_params(**params).fit(negative, topics)
    assert detector.threshold_ == before


def test_bad_batches():
    detector = SurgeDetector().fit(quiet(), ["a"] * 4000)
    detector.update([1, 1], ["a", "a"])
    before = detector.sum_
    with pytest.raises(ValueError, match=r"topics\[1\] is 'b', and fit has seen \['a'\]"):
        detector.update([1, 1], ["a", "b"])
    with pytest.raises(ValueError, match=r"topics\[0\] is None"):
        detector.update([1, 1])
    assert detector.sum_ == before and detector.n_seen_ == 2
    for share in (1.0, -0.1, {"b": 0.1}):
        with pytest.raises(ValueError, match="share has"):
            detector.mean_texts(share)
