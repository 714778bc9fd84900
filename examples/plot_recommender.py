"""
A recommender: ratings of users and items
=========================================

Each user and each item gets a row of numbers that is learned; their products, value by value, are
what the output layer weighs: matrix factorization. Ratings are made up here, so that it is known
how well they can be predicted at all.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import Ridge
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from skbp import BackpropRegressor
from skbp.initializers import Normal
from skbp.layers import CodeDropout, ColumnBranch, Embedding, Flatten, Parallel

N_USERS, N_ITEMS, N_RATINGS, NOISE = 600, 300, 30_000, 0.5

rng = np.random.default_rng(0)
taste, style = rng.normal(0, 0.6, (N_USERS, 3)), rng.normal(0, 0.8, (N_ITEMS, 3))
mildness, quality = rng.normal(0, 0.4, N_USERS), rng.normal(0, 0.4, N_ITEMS)
users, items = rng.integers(0, N_USERS, N_RATINGS), rng.integers(0, N_ITEMS, N_RATINGS)
ratings = 3.5 + mildness[users] + quality[items] + (taste[users] * style[items]).sum(axis=1)
ratings += rng.normal(0, NOISE, N_RATINGS)
X = np.column_stack(
    [np.char.add("user ", users.astype(str)), np.char.add("item ", items.astype(str))]
)
X_train, X_test, y_train, y_test = train_test_split(X, ratings, test_size=0.2, random_state=0)
X_test[:500, 0] = "a new user"

# %%
# From ids to codes. An id that training did not have gets a code of its own, `UNKNOWN`; so would
# rare ones with ``min_frequency``. `CodeDropout` replaces some codes by it in training, so that its
# row is learned: as the row of anybody.

UNKNOWN = 1000  # beyond all other codes
encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=UNKNOWN)


def tables(dim, join):
    """Return an embedding of the users and one of the items, joined."""
    branches = [
        ([column], [
            CodeDropout(0.02, code=UNKNOWN, padding_index=None),
            Embedding(UNKNOWN + 1, dim, initializer=Normal(0.1)),
            Flatten(),
        ])
        for column in (0, 1)
    ]  # fmt: skip
    return ColumnBranch(branches, join=join)


def network(*layers):
    return BackpropRegressor(
        layers=list(layers), batch_size=100, alpha=0.01, learning_rate="one_cycle",
        learning_rate_init=0.02, max_iter=15, random_state=0,
    )  # fmt: skip


# %%
# The products of tastes and styles, beside what each user and item adds by itself; for comparison
# the latter alone, as a linear model and as a network.

models = {
    "ridge": make_pipeline(OneHotEncoder(handle_unknown="ignore"), Ridge(1.0)),
    "sum": make_pipeline(encoder, network(tables(8, "concat"))),
    "product": make_pipeline(
        encoder, network(Parallel([tables(8, "product"), tables(1, "concat")]))
    ),
}
errors = {}
for name, model in models.items():
    predicted = model.fit(X_train, y_train).predict(X_test)
    errors[name] = [
        root_mean_squared_error(y_test[rows], predicted[rows])
        for rows in (slice(500, None), slice(500))
    ]
    print(f"{name:8} known users {errors[name][0]:.3f}, new ones {errors[name][1]:.3f}")

figure, axes = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
places = np.arange(len(models))
for shift, label in enumerate(("known users", "new users")):
    axes.bar(places + 0.35 * shift, [error[shift] for error in errors.values()], 0.35, label=label)
axes.axhline(NOISE, color="black", linestyle="--", label="noise of the ratings")
axes.set(ylabel="root mean squared error", xticks=places + 0.175, xticklabels=models)
axes.set_ylim(0, 1.5)
axes.legend(ncols=3, loc="upper center")
plt.show()
