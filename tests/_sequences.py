"""Sequences of different length: codes with padding at their ends, and features with NaN."""

import numpy as np

RNG = np.random.default_rng(0)
N, TIME, K = 45, 12, 4
COUNTS = RNG.integers(1, TIME + 1, N)
CODES = np.where(np.arange(TIME) < COUNTS[:, None], RNG.integers(1, 9, (N, TIME)), 0)
SERIES = RNG.normal(size=(N, TIME, K))
SERIES[np.arange(TIME) >= COUNTS[:, None]] = np.nan
LABELS = np.arange(N) % 3
