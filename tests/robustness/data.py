"""The rows and targets that cases begin with; nobody writes to them."""

import numpy as np

from .state import SHARED

RNG = np.random.RandomState(0)
N = 30
X = RNG.normal(size=(N, 3))
LABELS = (X[:, 0] > 0).astype(int)
NUMBERS = X @ [1.0, 2.0, -1.0] + 5
CODES = RNG.randint(1, 5, (N, 4)).astype(float)
PAIRS = np.column_stack([RNG.randint(0, 6, 60), RNG.randint(0, 5, 60)])
RATINGS = RNG.uniform(1, 5, 60)
GOOD_WORDS, BAD_WORDS = ["good", "great", "fine", "nice"], ["bad", "poor", "awful", "sad"]
TEXTS = [" ".join(RNG.choice(words, 3)) for words in (GOOD_WORDS, BAD_WORDS) for _ in range(N // 2)]
MOODS = np.repeat([1, 0], N // 2)

for array in (X, LABELS, NUMBERS, CODES, PAIRS, RATINGS, MOODS):
    array.flags.writeable = False
    SHARED.append(array)


#: Whether texts of a stream are negative, and days, as columns of tables.
STREAM = RNG.uniform(size=400) < 0.2
DAYS = np.datetime64("2020-01-01") + np.arange(2 * N).reshape(N, 2)


def with_value(value, rows=X):
    """Return a copy of rows with another value in one place."""
    bad = np.array(rows, dtype=np.float64)
    bad[7, 1] = value
    return bad
