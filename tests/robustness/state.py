"""What a call must not change outside of its estimator."""

import hashlib
import warnings
from dataclasses import dataclass

import numpy as np

#: Arrays that subjects share; whoever adds one here has it watched.
SHARED: list = []


@dataclass(frozen=True)
class State:
    """NumPy's settings and global stream, the filters of warnings, the shared arrays."""

    settings: dict
    stream: str
    warnings: tuple
    arrays: str

    @classmethod
    def now(cls):
        """Return the state at this moment."""
        stream = np.random.get_state()
        digest = hashlib.sha1()
        for array in SHARED:
            digest.update(np.ascontiguousarray(array).tobytes())
        return cls(np.geterr(), f"{stream[1].tobytes()}{stream[2:]}", cls.filters(),
                   digest.hexdigest())  # fmt: skip

    @staticmethod
    def filters():
        """Return the filters of warnings."""
        return tuple(warnings.filters)

    def differs_from(self, other):
        """Return which part differs, or None."""
        names = {
            "settings": "np.geterr()", "stream": "np.random", "warnings": "filters of warnings",
            "arrays": "arrays",
        }  # fmt: skip
        for name, told in names.items():
            if getattr(self, name) != getattr(other, name):
                return told
        return None

    def restore(self):
        """Set NumPy's settings back, so that later checks are not misjudged."""
        np.seterr(**self.settings)
