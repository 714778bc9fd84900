"""What pytest collects: modules that import numba only where it is installed."""

from importlib.util import find_spec

collect_ignore_glob = (
    [] if find_spec("numba") else ["skbp/_kernels/numba_*.py", "skbp/_kernels/compiler.py"]
)
