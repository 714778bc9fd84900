"""Docstrings: they name the parameters there are, their defaults, and attributes that exist.

And the API reference of the site lists all that is public.
"""

import ast
import importlib.util
import inspect
import re
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np
import pytest
from _text import write_encoder
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import skbp
import skbp.text
from skbp.tabular import RealMLP

docscrape = pytest.importorskip("numpydoc.docscrape", reason="needs skbp[test]")

ROOT = Path(__file__).parents[1]


def load_api_pages():
    """Return the module that writes the API reference: it knows what is public."""
    spec = importlib.util.spec_from_file_location("api_pages", ROOT / "docs/_ext/api_pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


api = load_api_pages()
OBJECTS = {
    f"{module.__name__}.{name}": obj
    for module in api.public_modules()
    for name, obj in api.public_objects(module).items()
}
CLASSES = {name: obj for name, obj in OBJECTS.items() if inspect.isclass(obj)}
ESTIMATORS = {name: cls for name, cls in CLASSES.items() if hasattr(cls, "fit")}
METHODS = {
    f"{name}.{method}": getattr(cls, method)
    for name, cls in CLASSES.items()
    for method in api.methods(cls, public=set(OBJECTS.values()))
}
CALLABLES = {**OBJECTS, **METHODS}


def sections(obj):
    """Return a docstring parsed."""
    return docscrape.NumpyDocString(inspect.getdoc(obj))


def documented(obj, section):
    """Return (name, type) of each entry of a section; "a, b : int" are two entries."""
    return [
        (name.lstrip("*"), entry.type)
        for entry in sections(obj)[section]
        for name in re.split(r",\s*", entry.name)
    ]


def parameters(obj):
    """Return the parameters of a signature by name, without self."""
    found = dict(inspect.signature(obj).parameters)
    found.pop("self", None)
    return found


def defaults_said(obj):
    """Return the default that a docstring gives each parameter, as text; "and" lists several."""
    said = {}
    for entry in sections(obj)["Parameters"]:
        match = re.search(r"default=(.+)$", entry.type)
        names = re.split(r",\s*", entry.name)
        if match:
            values = match[1].split(" and ")
            values = values * len(names) if len(values) == 1 else values
            said.update(zip(names, values, strict=True))
    return said


def test_what_is_public():
    assert {"skbp", "skbp.layers", "skbp.losses", "skbp.optimizers"} <= {
        module.__name__ for module in api.public_modules()
    }
    assert {"skbp.BackpropClassifier", "skbp.BackpropRegressor"} <= set(ESTIMATORS)
    assert "skbp.BackpropClassifier.partial_fit" in METHODS
    assert "skbp.losses.Loss.value_and_grad" in METHODS


def test_api_reference_lists_all():
    pages = api.pages()
    for module in api.public_modules():
        overview = pages[module.__name__]
        for name, cls in api.registry(module).items():
            assert f"``{name!r}``" in overview
            assert cls in OBJECTS.values(), f"{cls.__name__} is not in {module.__name__}.__all__"
        for name in api.public_objects(module):
            assert f"~{module.__name__}.{name}`" in overview
            assert f"{module.__name__}.{name}" in pages
    for name in METHODS:
        page, _, method = name.rpartition(".")
        assert re.search(rf":members: .*\b{method}\b", pages[page])


def wrong_first_lines():
    for name, obj in CALLABLES.items():
        doc = inspect.getdoc(obj)
        if not doc:
            yield f"{name} has no docstring"
            continue
        first, *rest = doc.splitlines()
        if not first.endswith("."):
            yield f"{name}: the first line is not a sentence: {first!r}"
        if rest and rest[0]:
            yield f"{name}: the second line is not empty"
        if len(first.split()) <= (1 if name in METHODS else 2):
            yield f"{name}: the first line says too little: {first!r}"


def wrong_parameters():
    for name, obj in CALLABLES.items():
        said = [parameter for parameter, _ in documented(obj, "Parameters")]
        if name in METHODS and not said:
            continue  # a short one: its sentence says it
        if is_dataclass(obj) and not said:
            said = [attribute for attribute, _ in documented(obj, "Attributes")]
        if said != list(parameters(obj)):
            yield f"{name}: documented are {said}, the signature has {list(parameters(obj))}"


def wrong_defaults():
    for name, obj in CALLABLES.items():
        signature = parameters(obj)
        for parameter, text in defaults_said(obj).items():
            default = signature[parameter].default
            try:
                said = ast.literal_eval(text)
            except (ValueError, SyntaxError):
                said = text  # inf, or an object's repr
            if default != said and repr(default) != said:
                yield f"{name}: the default of {parameter} is {default!r}, not {text}"


def attributes_that_nothing_sets():
    for name, cls in CLASSES.items():
        if name in ESTIMATORS:
            continue  # see below: fitted
        known = {field.name for field in fields(cls)} if is_dataclass(cls) else set(parameters(cls))
        bases = (base for base in cls.__mro__ if base.__module__.startswith("skbp"))
        source = "".join(map(inspect.getsource, bases))
        for attribute, _ in documented(cls, "Attributes"):
            is_set = re.search(rf"self\.{attribute}\b[^=\n]*=[^=]", source)
            if not (attribute in known or hasattr(cls, attribute) or is_set):
                yield f"{name}.{attribute}"


def private_examples():
    for name, obj in CALLABLES.items():
        for line in re.findall(r"^ *(?:>>>|\.\.\.) .*", inspect.getdoc(obj) or "", flags=re.M):
            if re.search(r"\w\._[a-z]", line):
                yield f"{name}: {line}"


@pytest.mark.parametrize("wrong", [
    wrong_first_lines, wrong_parameters, wrong_defaults, attributes_that_nothing_sets,
    private_examples,
])  # fmt: skip
def test_docstrings(wrong):
    assert len(CALLABLES) > 200
    assert list(wrong()) == []


@pytest.mark.parametrize("name", ESTIMATORS)
def test_fitted_attributes(name, tmp_path):
    pandas = pytest.importorskip("pandas")
    cls = ESTIMATORS[name]
    X = pandas.DataFrame(np.random.default_rng(0).normal(size=(40, 3)), columns=list("abc"))
    y = (X["a"] > 0).astype(int)
    settings = {"early_stopping": True, "tol": 10.0, "random_state": 0}
    if cls is skbp.BackpropSequenceModel:
        net = cls(**settings).fit((X > 0) + 1)
    elif cls.__module__.startswith("skbp.preprocessing"):
        net = cls().fit(X)
    elif cls.__module__.startswith("skbp.tabular"):
        net = cls(RealMLP(2, (4,), max_iter=2, min_updates=2, n_folds=2)).fit(X, y)
    elif cls.__module__.startswith("skbp.uncertainty") or cls is skbp.text.RejectOption:
        net = cls(LogisticRegression()).fit(X, y)
    elif cls is skbp.text.NearestExamples:
        net = cls(StandardScaler()).fit(X, y)
    elif cls is skbp.text.SurgeDetector:
        net = cls().fit(y)
    elif cls in (skbp.text.BytePairTokenizer, skbp.text.CharacterTokenizer, skbp.text.TextModel):
        pytest.importorskip("tokenizers", reason="needs skbp[text]")
        small = {"width": 16, "n_heads": 2} if cls is skbp.text.TextModel else {}
        net = cls(**small).fit(["a", "b"])
    elif cls.__module__.startswith("skbp.text"):
        pytest.importorskip("tokenizers", reason="needs skbp[text]")
        net = cls(skbp.text.load_encoder(write_encoder(tmp_path))).fit(["a", "b"], [0, 1])
    elif cls.__module__.startswith("skbp.recommendation"):
        net = cls(dim=2, max_iter=1, batch_size=20).fit(X[["a", "b"]], y)
    elif cls is skbp.HiddenFeatures:
        net = cls(skbp.BackpropClassifier((4,), **settings)).fit(X, y)
    else:
        net = cls((4,), **settings).fit(X, y)
    said = {attribute for attribute, _ in documented(cls, "Attributes")}
    assert not [attribute for attribute in said if not hasattr(net, attribute)]
    there = {key for key in vars(net) if key.endswith("_") and not key.startswith("_")}
    assert there <= said, f"{name}: not documented: {there - said}"
