"""What pytest collects: modules and pages that import a library only where it is installed."""

from importlib.util import find_spec

#: What needs each of the libraries that come with an extra.
NEEDS = {
    "numba": ["skbp/_kernels/numba_*.py", "skbp/_kernels/compiler.py"],
    "tokenizers": ["skbp/text/tokenizer.py", "docs/guide/text.md"],
    "safetensors": ["docs/guide/text.md"],
    "onnx": ["skbp/persistence/onnx/convert.py", "docs/guide/saving.md"],
    "onnxruntime": ["skbp/persistence/onnx/convert.py", "docs/guide/saving.md"],
    "skl2onnx": ["skbp/persistence/onnx/pipelines.py", "docs/guide/saving.md"],
}
collect_ignore_glob = [
    path for name, paths in NEEDS.items() if not find_spec(name) for path in paths
]
