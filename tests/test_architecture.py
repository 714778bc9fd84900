"""The rooms of the house, and who may look into whom (docs/architecture.md)."""

import ast
import subprocess
import sys
from pathlib import Path

import skbp

ROOT = Path(skbp.__file__).parent
FILES = sorted(path for path in ROOT.rglob("*.py"))

# From bottom to top; a module imports from its own floor and those below. A folder stands for all
# that is in it, unless its files are listed.
FLOORS = [
    [
        "_kernels", "_component", "_compat", "_distributions", "_numbers", "_quiet", "_warnings",
        "_archive", "_forms", "_plain", "_plain_state", "_version", "_optional",
        "_sparse_format", "_engine",
    ],
    ["activations", "initializers", "losses", "optimizers", "schedules", "preprocessing"],
    ["layers"],
    [
        "_engine.network", "_engine.objective", "_engine.batches", "_engine.interrupt",
        "_engine.updater", "_engine.training", "_engine.lbfgs", "_engine.history",
        "_engine.regularization", "_engine.watch", "_engine.resume", "_engine.plan",
        "_engine.checkpoint", "_engine.range_test", "_engine.lines",
        "_engine.content", "_engine.fingerprint", "_engine.dense_passes",
        "_engine.block_passes", "_engine.member_passes", "_engine.turns", "_engine.stepping",
        "_engine.unseen", "_engine.parameter", "_engine.workspace", "_engine.crops",
    ],
    ["callbacks", "inspection", "model_selection", "distributed", "uncertainty"],
    ["estimators"],
    ["tabular", "text", "recommendation", "persistence"],
    [""],  # skbp/__init__.py
]  # fmt: skip
HIGHEST_WITHOUT_SKLEARN = 3  # that of training
MAY_KNOW_SKLEARN = ("_compat", "_distributions", "preprocessing")
ALLOWED_FROM_SKLEARN = {
    ("sklearn.base", "BaseEstimator"), ("sklearn.exceptions", "InconsistentVersionWarning"),
}  # fmt: skip
ROOMS = {
    "estimators", "callbacks", "inspection", "persistence", "preprocessing", "distributed",
    "tabular", "text", "recommendation", "uncertainty", "_engine", "_kernels", "activations",
    "layers", "losses", "optimizers", "schedules",
}  # fmt: skip
LARGEST_FILE = 500


def name_of(path):
    """Return a file's module, without the leading "skbp."; "" is skbp itself."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_of(path) for path in FILES}


def floor_of(module):
    """Return the number of a module's floor: that of the longest entry that names it."""
    found = [
        (len(entry), floor)
        for floor, entries in enumerate(FLOORS)
        for entry in entries
        if module == entry or (entry not in ("", "_engine") and module.startswith(f"{entry}."))
    ]
    assert found, f"skbp.{module} is new: give it a floor in this file"
    return max(found)[1]


def imports_of(path):
    """Yield (module, name or None, line) of every import in a file, functions' bodies included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, None, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}, line {node.lineno}: a relative import"
            for alias in node.names:
                yield node.module, alias.name, node.lineno


def skbp_imports_of(path):
    """Yield (module without the leading "skbp.", line) of what a file imports from skbp."""
    for module, name, line in imports_of(path):
        if module != "skbp" and not module.startswith("skbp."):
            continue
        inside = module.removeprefix("skbp").removeprefix(".")
        full = f"{inside}.{name}".removeprefix(".")
        yield (full if full in NAMES else inside), line


def test_imports_come_from_below():
    wrong = [
        f"{path.name}, line {line} imports skbp.{module}"
        for path in FILES
        for module, line in skbp_imports_of(path)
        if floor_of(module) > floor_of(name_of(path))
    ]
    assert wrong == []


def test_no_cycles():
    graph = {
        name_of(path): {module for module, _ in skbp_imports_of(path)} - {name_of(path)}
        for path in FILES
    }
    done, open_ = set(), []

    def visit(module):
        assert module not in open_, f"a cycle: {' -> '.join([*open_, module])}"
        if module in done:
            return
        open_.append(module)
        for other in sorted(graph[module]):
            visit(other)
        done.add(open_.pop())

    for module in sorted(graph):
        visit(module)
    assert done == NAMES


def sklearn_imports():
    """Yield (file's module, imported module, name, place) of what comes from scikit-learn."""
    for path in FILES:
        for imported, name, line in imports_of(path):
            if imported.partition(".")[0] == "sklearn":
                yield name_of(path), imported, name, f"{path.name}, line {line}"


def test_the_engine_does_not_know_scikit_learn():
    wrong = [
        f"{place}: {imported}.{name}"
        for module, imported, name, place in sklearn_imports()
        if floor_of(module) <= HIGHEST_WITHOUT_SKLEARN
        and module.partition(".")[0] not in MAY_KNOW_SKLEARN
        and (imported, name) not in ALLOWED_FROM_SKLEARN
    ]
    wrong += [
        f"{path.name} needs no _compat"
        for path in FILES
        if floor_of(name_of(path)) <= HIGHEST_WITHOUT_SKLEARN
        and name_of(path).partition(".")[0] not in MAY_KNOW_SKLEARN
        and any("_compat" in (imported.rpartition(".")[2], name) for imported, name, _ in
                imports_of(path) if imported.startswith("skbp"))
    ]  # fmt: skip
    assert wrong == []


def test_private_names_of_scikit_learn_are_in_one_place():
    wrong = [
        f"{place}: import it in skbp/_compat.py"
        for module, imported, name, place in sklearn_imports()
        if module != "_compat"
        and any(part.startswith("_") for part in [*imported.split("."), name or ""])
    ]
    assert wrong == []


def test_size_of_a_file():
    sizes = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in FILES
    }
    assert {name: n for name, n in sizes.items() if n >= LARGEST_FILE} == {}


def test_the_page_names_every_room():
    page = (ROOT.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    missing = []
    for path in FILES:
        parts = path.relative_to(ROOT).parts
        if path.name == "__init__.py":
            continue
        # A public room is named as a folder; of the others, and of the top, each file is.
        public = len(parts) > 1 and parts[0] not in ("_engine", "estimators")
        named = f"{parts[0]}/" if public else path.name
        if named not in page:
            missing.append("/".join(parts))
    assert missing == []


def test_rooms():
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and list(path.rglob("*.py"))}
    assert folders <= ROOMS
    for path in ROOT.rglob("*.py"):
        assert (path.parent / "__init__.py").exists(), f"{path.parent} is no package"


def test_every_floor_is_known_to_the_rule():
    # so that an entry that is gone, or misspelt, cannot hide a module from the rule
    for module in sorted(NAMES):
        assert 0 <= floor_of(module) < len(FLOORS)
    known = {entry for floor in FLOORS[:4] for entry in floor}
    assert known <= NAMES


def test_the_public_names():
    assert skbp.__all__ == [
        "BackpropClassifier",
        "BackpropRegressor",
        "BackpropSequenceModel",
        "Ensemble",
        "HiddenFeatures",
        "__version__",
        "load",
        "save",
        "search_space",
        "to_onnx",
    ]
    for name in skbp.__all__:
        assert hasattr(skbp, name)


HEAVY = [
    "numba",
    "torch",
    "jax",
    "tensorflow",
    "matplotlib",
    "pandas",
    "polars",
    "onnx",
    "onnxruntime",
    "tokenizers",
    "safetensors",
    "skops",
]


def test_importing_skbp_imports_nothing_heavy():
    # Nothing but what scikit-learn brings along: it imports pandas where that is installed.
    code = (
        "import sys, sklearn.base, sklearn.metrics, sklearn.model_selection\n"
        "before = set(sys.modules)\n"
        "import skbp, skbp.layers, skbp.optimizers, skbp.losses, skbp.activations\n"
        "import skbp.schedules, skbp.initializers, skbp.inspection, skbp.preprocessing\n"
        "import skbp.text\n"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    new = set(run.stdout.split())
    assert "skbp" in new
    assert not new & set(HEAVY)


def test_what_few_need_is_imported_later():
    code = (
        "import sys, skbp\n"
        "assert 'skbp.persistence.onnx' not in sys.modules\n"
        "from skbp import to_onnx\n"
        "assert skbp.to_onnx is to_onnx\n"
        "assert 'onnx' not in sys.modules"  # that is imported by the first call
    )
    subprocess.run([sys.executable, "-c", code], timeout=60, check=True)
