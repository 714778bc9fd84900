"""Hold recommendation to its figures on MovieLens-100k.

    pip download --no-deps recbole
    pip install implicit scikit-surprise
    python tests/benchmarks/recommendation.py recbole-*.whl --encoder all-MiniLM-L6-v2

Three parts, of which each says what has to be reached, and fails if it is not:

- ratings: RMSE in five folds (KFold, shuffled, seed 0) below .92 and SVD of scikit-surprise;
- ranking: the last interaction of each user, ranked among all items the user has not had, HR@10 and
  NDCG@10 above popularity, item-kNN and ALS of implicit, whose settings are chosen on the
  interaction before; also among 99 random items. All models then see that one in training;
- cold: a fifth of the items has no interactions in training, five times, so that each item is once;
  these are ranked among each other, NDCG@10 above popularity and chance.

Settings of skbp are its defaults; these were chosen on a tenth of the training ratings of the first
fold, and on the interaction before the last.
"""

import argparse
import itertools
import sys
import time
import warnings

import movielens
import numpy as np
from common import describe, environment, markdown
from scipy.sparse import csr_matrix
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold
from sklearn.preprocessing import normalize

from skbp.recommendation import RatingRegressor, TwoTowerRecommender

PARTS = ("ratings", "ranking", "cold")
N_OTHERS = 99


def rmse(y, predicted):
    """Return the root of the mean squared error."""
    return float(np.sqrt(np.mean((y - predicted) ** 2)))


def svd(pairs, ratings, new):
    """Return predictions of scikit-surprise's SVD with its defaults."""
    import pandas as pd
    from surprise import SVD, Dataset, Reader

    frame = pd.DataFrame({"user": pairs[:, 0], "item": pairs[:, 1], "rating": ratings})
    data = Dataset.load_from_df(frame, Reader(rating_scale=(1, 5)))
    model = SVD(random_state=0).fit(data.build_full_trainset())
    return np.array([model.predict(*pair).est for pair in new])


def rate(data, features, options):
    """Yield (model, RMSE of each fold, seconds of CPU a fit)."""
    pairs, y = data.pairs, data.ratings
    items = np.arange(len(features)), features
    people = np.arange(len(data.people)), data.people
    found, seconds = {}, {}

    def note(name, y, predicted, began):
        found.setdefault(name, []).append(rmse(y, predicted))
        seconds.setdefault(name, []).append(time.process_time() - began)

    for train, test in KFold(5, shuffle=True, random_state=0).split(pairs):
        began = time.process_time()
        note("SVD (scikit-surprise)", y[test], svd(pairs[train], y[train], pairs[test]), began)
        for name, known, n in (
            ("ids alone, one network", {}, 1),
            ("defaults", {"item_features": items, "user_features": people}, 4),
        ):
            began = time.process_time()
            model = RatingRegressor(n_members=n, random_state=0)
            model.fit(pairs[train], y[train], **known)
            note(f"RatingRegressor, {name}", y[test], model.predict(pairs[test]), began)
        model.estimators_ = model.estimators_[:1]
        note("RatingRegressor, one of these", y[test], model.predict(pairs[test]), began)
    return [(name, values, np.mean(seconds[name])) for name, values in found.items()]


def implicit_models(pairs, shape):
    """Yield (family, settings, scores) of item-kNN and ALS for all settings that are tried."""
    from implicit.als import AlternatingLeastSquares
    from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, TFIDFRecommender

    rows = csr_matrix((np.ones(len(pairs)), tuple(pairs.T)), shape)
    aged = {
        decay: csr_matrix((decay ** ages(pairs), tuple(pairs.T)), shape)
        for decay in (0.9, 0.7, 0.5)
    }
    for cls, k in itertools.product(
        (CosineRecommender, TFIDFRecommender, BM25Recommender), (10, 20, 50, 100, 400)
    ):
        model = cls(K=k, num_threads=1)
        model.fit(rows, show_progress=False)
        yield "item-kNN", f"{cls.__name__}(K={k})", (rows @ model.similarity).toarray()
        for decay, bag in aged.items():
            settings = f"{cls.__name__}(K={k}), decay {decay}"
            yield "item-kNN, later items count more", settings, (bag @ model.similarity).toarray()
    for n_factors, penalty, alpha in itertools.product((16, 32, 64, 128), (0.01, 1, 10), (1, 5)):
        model = AlternatingLeastSquares(
            n_factors, penalty, alpha, iterations=15, random_state=0, num_threads=1
        )
        model.fit(rows, show_progress=False)
        settings = f"factors={n_factors}, regularization={penalty}, alpha={alpha}"
        yield "ALS", settings, model.user_factors @ model.item_factors.T


def ages(pairs):
    """Return how many interactions of its user came after each."""
    order = np.argsort(pairs[:, 0], kind="stable")
    ends = np.searchsorted(pairs[order, 0], pairs[order, 0], side="right")
    found = np.empty(len(pairs))
    found[order] = ends - 1 - np.arange(len(pairs))
    return found


def two_tower_scores(model, n_users):
    """Return the scores of all users and items."""
    return model.user_vectors(np.arange(n_users)) @ model.item_vectors_.T + model.item_bias_


def rank(data, features, options):
    """Return lines (model, HR, NDCG and both among 99 others for each seed, seconds)."""
    shape = len(data.people), len(data.texts)
    chosen = chosen_settings(data, shape)
    seen, target = movielens.leave_out_last(data.pairs, 1)
    others = random_items(data.pairs, shape)

    def judged(scores):
        among = (None, others)
        ranks = [movielens.ranks_of(scores, seen, target, some) for some in among]
        return [value for one in ranks for value in movielens.hits_and_gain(one)]

    popularity = np.tile(np.bincount(seen[:, 1], minlength=shape[1]), (shape[0], 1))
    lines = [("popularity", [judged(popularity)], 0.0)]
    for family, settings, scores in implicit_models(seen, shape):
        if settings == chosen[family][0]:
            lines.append((f"{family}: {settings}", [judged(scores)], 0.0))
    known = np.arange(len(features)), features
    for name, given, params in (
        ("order left out", known, {"decays": (1.0,)}),
        ("ids alone", None, {}),
        ("defaults", known, {}),
    ):
        values, began = [], time.process_time()
        for seed in range(options.seeds):
            model = TwoTowerRecommender(random_state=seed, **params)
            model.fit(seen, item_features=given)
            scores = np.full(shape, -np.inf)
            scores[:, model.items_] = two_tower_scores(model, shape[0])
            values.append(judged(scores))
        seconds = (time.process_time() - began) / options.seeds
        lines.append((f"TwoTowerRecommender, {name}", values, seconds))
    return lines


def chosen_settings(data, shape):
    """Return (settings, NDCG) of each family: the best on the interaction before the last."""
    seen, target = movielens.leave_out_last(data.pairs, 2)
    chosen = {}
    for family, settings, scores in implicit_models(seen, shape):
        _, ndcg = movielens.hits_and_gain(movielens.ranks_of(scores, seen, target))
        if ndcg > chosen.get(family, ("", -1))[1]:
            chosen[family] = settings, ndcg
    return chosen


def random_items(pairs, shape):
    """Return for each user items that the user never had."""
    had = np.zeros(shape, bool)
    had[tuple(pairs.T)] = True
    order = np.argsort(np.random.default_rng(0).random(shape) + had, axis=1)
    return order[:, :N_OTHERS]


def cold(data, features, options):
    """Return lines (model, NDCG of each split)."""
    n_users, n_items = len(data.people), len(data.texts)
    relevant = np.zeros((n_users, n_items), bool)
    relevant[tuple(data.pairs.T)] = True
    rng, found, seconds = np.random.default_rng(0), {}, []
    for warm, new in KFold(5, shuffle=True, random_state=0).split(np.arange(n_items)):
        seen = data.pairs[np.isin(data.pairs[:, 1], warm)]
        began = time.process_time()
        model = TwoTowerRecommender(random_state=0)
        model.fit(seen, item_features=(np.arange(n_items), features))
        scores = two_tower_scores(model, n_users)
        seconds.append(time.process_time() - began)
        counts = relevant.sum(axis=0)
        guess = Ridge(3.0).fit(features[warm], np.log1p(counts[warm])).predict(features)
        rows = normalize(features - features.mean(axis=0))
        liked = csr_matrix((np.ones(len(seen)), tuple(seen.T)), (n_users, n_items))
        for name, values in (
            ("chance", rng.random((n_users, n_items))),
            ("popularity, guessed from features (ridge)", np.tile(guess, (n_users, 1))),
            ("nearest features to the mean of the history", normalize(liked @ rows) @ rows.T),
            ("TwoTowerRecommender", scores),
            ("true popularity, which nobody knows", np.tile(counts, (n_users, 1))),
        ):
            value = movielens.gain(values[:, new].astype(float), relevant[:, new])
            found.setdefault(name, []).append(value)
    return [(name, values, np.mean(seconds)) for name, values in found.items()]


def spread(values):
    """Return mean and standard deviation as text."""
    return (
        f"{np.mean(values):.4f} ± {np.std(values):.4f}" if len(values) > 1 else f"{values[0]:.4f}"
    )


def report_ratings(lines):
    rows = [[name, spread(values), f"{seconds:.0f}"] for name, values, seconds in lines]
    print(markdown(["model", "RMSE, 5 folds", "CPU s a fit"], rows))
    errors = {name: np.mean(values) for name, values, _ in lines}
    best = errors["RatingRegressor, defaults"]
    return best < 0.92 and best < errors["SVD (scikit-surprise)"]


def report_ranking(lines):
    names = ["HR@10", "NDCG@10", f"HR@10 of {N_OTHERS}", f"NDCG@10 of {N_OTHERS}"]
    rows = [
        [name, *(spread(column) for column in zip(*values, strict=True)), f"{seconds:.0f}"]
        for name, values, seconds in lines
    ]
    print(markdown(["model", *names, "CPU s a fit"], rows))
    means = [np.mean(values, axis=0)[:2] for _, values, _ in lines]
    rivals = [m for (name, _, _), m in zip(lines, means, strict=True) if "TwoTower" not in name]
    return all((means[-1] > rival).all() for rival in rivals)


def report_cold(lines):
    print(markdown(["model", "NDCG@10, 5 splits"], [[n, spread(values)] for n, values, _ in lines]))
    print(f"{lines[0][2]:.0f} CPU seconds a fit")
    means = {name: np.mean(values) for name, values, _ in lines}
    own = means["TwoTowerRecommender"]
    return all(own > means[name] for name in means if not name.startswith(("Two", "true")))


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", help="recbole's wheel")
    parser.add_argument("--encoder", help="folder of a pretrained encoder, for titles")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    return parser.parse_args(arguments)


def main():
    options = parse()
    warnings.filterwarnings("ignore", module="implicit")
    data = movielens.load(options.wheel)
    features = movielens.features_of(data, options.encoder)
    print(describe(environment()), f"{len(data.pairs)} ratings", sep="\n")
    failed = []
    for part, measure, report in (
        ("ratings", rate, report_ratings),
        ("ranking", rank, report_ranking),
        ("cold", cold, report_cold),
    ):
        if part in options.parts:
            print(f"\n## {part}\n", flush=True)
            if not report(measure(data, features, options)):
                failed.append(part)
    sys.exit(f"Not reached: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
