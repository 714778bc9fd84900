"""The preset RealMLP-TD: its preparation, rates and decays, and its updates against torch."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from skbp._engine.updater import rules_of
from skbp.schedules import LogCosine, Progress, Scheduled
from skbp.tabular import RealMLPTD, TabularClassifier, TabularRegressor

RNG = np.random.default_rng(0)


def table(n=240):
    """Draw numbers and categories, few, as many as just fit, and many, and a value of them."""
    size, weight = RNG.gamma(2.0, size=n), RNG.normal(size=n)
    kinds = {name: RNG.permutation(np.arange(n) % k) for name, k in
             (("two", 2), ("eight", 8), ("nine", 9))}  # fmt: skip
    frame = pd.DataFrame({"size": size, "weight": weight} | {
        name: pd.Categorical([f"{name}{code}" for code in codes]) for name, codes in kinds.items()
    })  # fmt: skip
    value = np.sin(2 * size) + (kinds["nine"] % 3) + kinds["two"] * weight
    return frame, value


X, VALUE = table()
LABEL = np.where(np.median(VALUE) < VALUE, "dear", "cheap")
SMALL = RealMLPTD(hidden_layer_sizes=(12, 12), max_iter=2, batch_size=64)


def test_up_to_eight_categories_are_one_hot_and_more_are_codes():
    encoder = RealMLPTD().encoder("from_dtype").fit(X)
    assert (encoder.n_numeric_, encoder.n_one_hot_) == (2, 1 + 8)
    assert encoder.cardinalities_ == [3 + 9]


def test_columns_of_0_and_1_are_scaled_as_numbers():
    few = np.where(np.arange(240) % 10 == 0, "a", np.where(np.arange(240) % 10 < 5, "b", "c"))
    frame = pd.DataFrame({"kind": few, "size": X["size"]})
    encoder = RealMLPTD().encoder("from_dtype").fit(frame)
    rows = encoder.transform(frame)
    for j, name in enumerate("abc", start=1):
        column = (few == name).astype(float)
        low, middle, high = np.quantile(column, [0.25, 0.5, 0.75])
        z = (column - middle) / ((high - low) or 0.5)
        np.testing.assert_allclose(rows[:, j], z / np.sqrt(1 + (z / 3) ** 2), atol=1e-6)
    unseen = encoder.transform(frame.head(2).assign(kind="d"))
    np.testing.assert_allclose(unseen[:, 1:], np.tile(rows[[1, 0, 0], [1, 2, 3]], (2, 1)))


def test_layers():
    model = TabularRegressor(SMALL, random_state=0).fit(X, VALUE)
    shapes = {name: array.shape for name, array in model.network_.weights_.items()}
    assert shapes["numbers.frequency"] == (2, 16)
    assert shapes["numbers.weight"] == (2, 16, 3)
    assert shapes["categories.weight"] == (12, 8)
    assert shapes["scale.scale"] == (2 * 4 + 9 + 8,)


def test_rates_and_decays():
    model = TabularClassifier(SMALL, random_state=0).fit(X, LABEL)
    network = model.network_._network
    rules = rules_of(model.network_.solver, network)
    seen = set()
    for parameter, rule in zip(network.parameters, rules, strict=True):
        layer, kind = parameter.name.split(".")
        factor = {"numbers": 0.1, "scale": 6.0}.get(layer, 1.0)
        decays = True
        if layer not in ("numbers", "scale") and kind in ("bias", "share"):
            factor, decays = 0.1, kind == "share"
        assert rule.factor == factor, parameter.name
        assert isinstance(rule.weight_decay, Scheduled) == decays, parameter.name
        seen.add((layer, kind))
    assert {("numbers", "bias"), ("categories", "weight"), ("scale", "scale")} <= seen


def test_both_learn():
    preset = RealMLPTD(hidden_layer_sizes=(32, 32), max_iter=40, batch_size=32)
    classifier = TabularClassifier(preset, random_state=0).fit(X, LABEL)
    assert classifier.score(X, LABEL) > 0.8
    regressor = TabularRegressor(preset, random_state=0).fit(X, VALUE)
    assert regressor.score(X, VALUE) > 0.6
    bounds = regressor.predict(X.assign(size=1e9))
    assert VALUE.min() <= bounds.min() <= bounds.max() <= VALUE.max()


def test_numbers_alone_and_categories_alone():
    for rows in (X[["size", "weight"]], X[["nine"]], X[["two", "eight"]]):
        model = TabularClassifier(SMALL, random_state=0).fit(rows, LABEL)
        assert model.predict_proba(rows).shape == (240, 2)


def test_updates_against_torch():
    torch = pytest.importorskip("torch")
    # Too few rows to hold out any: a batch is all of them, in any order.
    rows, value, updates = X.head(36).assign(nine=list("abcdefghi") * 4), VALUE[:36], 6
    preset = RealMLPTD((8, 8), max_iter=updates, learning_rate=0.02, dropout=0.0)
    model = TabularRegressor(preset, random_state=0).fit(rows, value)
    still = clone(preset).set_params(learning_rate=1e-30, weight_decay=0.0)
    first = TabularRegressor(still, random_state=0).fit(rows, value).network_.weights_
    p = {name: torch.tensor(np.array(array), requires_grad=True) for name, array in first.items()}
    x = torch.tensor(model.encoder_.transform(rows))
    y = torch.tensor(((value - value.mean()) / value.std()).astype(np.float32))

    def predict():
        numbers = x[:, :2]
        angle = 2 * np.pi * numbers[..., None] * p["numbers.frequency"]
        wave = torch.cos(angle + p["numbers.phase"])
        made = torch.einsum("njf,jfu->nju", wave, p["numbers.weight"]) + p["numbers.bias"]
        embedded = torch.cat([numbers[..., None], made], dim=-1).flatten(1)
        looked_up = p["categories.weight"][x[:, -1].long()]
        h = torch.cat([embedded, x[:, 2:-1], looked_up], dim=1) * p["scale.scale"]
        *hidden, last = [name.split(".")[0] for name in p if name.endswith(".weight")
                         and name.split(".")[0] not in ("numbers", "categories")]  # fmt: skip
        shares = [array for name, array in p.items() if name.endswith(".share")]
        for name, share in zip(hidden, shares, strict=True):
            z = h @ p[f"{name}.weight"] / h.shape[1] ** 0.5 + p[f"{name}.bias"]
            h = z + share * (torch.nn.functional.mish(z) - z)
        return (h @ p[f"{last}.weight"] / h.shape[1] ** 0.5 + p[f"{last}.bias"])[:, 0]

    rules = rules_of(model.network_.solver, model.network_._network)
    names = [parameter.name for parameter in model.network_._network.parameters]
    factors = {name: rule.factor for name, rule in zip(names, rules, strict=True)}
    adam = torch.optim.Adam([{"params": [p[name]], "name": name} for name in p], betas=(0.9, 0.95))
    for update in range(updates):
        rate = LogCosine(4)(Progress(updates=update, total_updates=updates), 0.02)
        share = max(0.0, 2 * update / updates - 1)
        decay = 0.02 * (1 + np.cos(np.pi * share)) / 2
        adam.zero_grad()
        (0.5 * ((predict() - y) ** 2).mean()).backward()
        for group in adam.param_groups:
            group["lr"] = rate * factors[group["name"]]
            if not group["name"].endswith(".bias") or group["name"] == "numbers.bias":
                group["params"][0].data.mul_(1 - group["lr"] * decay)
        adam.step()
    for name, array in model.network_.weights_.items():
        np.testing.assert_allclose(array, p[name].detach().numpy(), atol=2e-4, err_msg=name)
