"""Presets that stop early, ResNet, FT-Transformer and TabM: against torch, and at work."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks

from skbp._engine.network import Network
from skbp._engine.updater import rules_of
from skbp._engine.workspace import Workspace
from skbp.layers import LayerNorm
from skbp.tabular import FTTransformer, ResNet, TabM, TabularClassifier, TabularRegressor

RNG = np.random.default_rng(0)
#: Small ones that learn within a second.
QUICK = {
    "resnet": ResNet(units=32, hidden_units=32, batch_size=32, learning_rate=3e-3, max_iter=60),
    "ft-transformer": FTTransformer(n_blocks=2, units=16, n_heads=2, batch_size=32, max_iter=60,
                                    learning_rate=3e-3),
    "tabm": TabM(n_members=4, units=32, batch_size=32, max_iter=60, learning_rate=3e-3),
    "tabm-mini": TabM(n_members=4, units=32, batch_size=32, max_iter=60, learning_rate=3e-3,
                      mini=True),
}  # fmt: skip
NAMES = list(QUICK)
SINGLE = ["resnet", "ft-transformer"]
NO_DROPOUT = {
    "resnet": {"hidden_dropout": 0.0, "residual_dropout": 0.0},
    "ft-transformer": {"hidden_dropout": 0.0, "attention_dropout": 0.0},
}
#: Epochs may run out: said of that there is a test of its own.
may_run_out = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def table(n=300, seed=0):
    rng = np.random.RandomState(seed)
    frame = pd.DataFrame({
        "size": np.where(rng.rand(n) < 0.1, np.nan, rng.gamma(2.0, size=n)),
        "age": rng.normal(size=n),
        "color": rng.choice(["red", "green", "blue"], n),
        "new": rng.rand(n) < 0.5,
    })  # fmt: skip
    value = frame["size"].fillna(1.0) + 2.0 * (frame["color"] == "red") + 1.0 * frame["new"]
    return frame, value.to_numpy() + 0.1 * rng.normal(size=n)


X, VALUE = table()
LABEL = np.where(np.median(VALUE) < VALUE, "dear", "cheap")


# ------------------------------------------------------------ the networks, as torch has them


def network_of(preset, n_numbers, cardinalities, n_outputs=2):
    """Build a preset's network for rows, with parameters of which none is 0 or 1."""
    hidden = preset.hidden_layers(n_numbers, cardinalities)
    width = n_numbers + len(cardinalities)
    shape = Network(hidden, (width,), np.float64).output_shape
    network = Network([*hidden, *preset.output_layers(shape, n_outputs)], (width,), np.float64)
    network.init(np.random.RandomState(0))
    network.params[...] = np.random.default_rng(1).normal(0, 0.4, network.params.size)
    return network


def torch_resnet(torch, p, x, n_numbers, cardinalities):
    """Return what the paper's section 3.2 makes of rows, in training."""

    def normed(h, name):
        gamma, beta = p[f"{name}.gamma"], p[f"{name}.beta"]
        return torch.nn.functional.batch_norm(h, None, None, gamma, beta, training=True)

    def linear(h, name):
        return h @ p[f"{name}.weight"] + p[f"{name}.bias"]

    h, start = [x[:, :n_numbers]], 0
    for j, size in enumerate(cardinalities):
        rows = p["categories.weight"][start : start + size]
        h.append(rows[x[:, n_numbers + j].long()])
        start += size
    first = next(name.rpartition(".")[0] for name in p if name.startswith("dense"))
    h = linear(torch.cat(h, dim=1), first)
    blocks = dict.fromkeys(name.split(".")[0] for name in p if name.startswith("residual"))
    for block in blocks:
        z = linear(normed(h, f"{block}.0"), f"{block}.1")
        h = h + linear(torch.relu(z), f"{block}.2")
    last = next(name.rpartition(".")[0] for name in p if name.startswith("batchnorm"))
    return linear(torch.relu(normed(h, last)), "output")


def torch_ft_transformer(torch, p, x, n_numbers, cardinalities, n_heads):
    """Return what the paper's section 3.3 makes of rows."""
    functional = torch.nn.functional

    def normed(h, name):
        gamma, beta = p[f"{name}.gamma"], p[f"{name}.beta"]
        return functional.layer_norm(h, gamma.shape, gamma, beta)

    def linear(h, name):
        return h @ p[f"{name}.weight"] + p[f"{name}.bias"]

    def attention(h, name):
        qkv = h @ p[f"{name}.weight_qkv"] + p[f"{name}.bias_qkv"]
        n, tokens, _ = h.shape
        q, k, v = (a.reshape(n, tokens, n_heads, -1).transpose(1, 2) for a in qkv.chunk(3, dim=-1))
        found = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        return found.reshape(n, tokens, -1) @ p[f"{name}.weight_out"] + p[f"{name}.bias_out"]

    tokens, start = [p["tokens.cls"].expand(len(x), -1)], 0
    for j in range(x.shape[1]):
        if j < n_numbers:
            token = x[:, j, None] * p["tokens.weight"][j]
        else:
            size = cardinalities[j - n_numbers]
            token = p["tokens.categories.weight"][start : start + size][x[:, j].long()]
            start += size
        tokens.append(token + p["tokens.bias"][j])
    h = torch.stack(tokens, dim=1)
    residuals = list(dict.fromkeys(n.split(".")[0] for n in p if n.startswith("residual")))
    for i in range(0, len(residuals), 2):
        look, think = residuals[i : i + 2]
        h = h + (attention(h, f"{look}.0") if i == 0
                 else attention(normed(h, f"{look}.0"), f"{look}.1"))  # fmt: skip
        a, b = linear(normed(h, f"{think}.0"), f"{think}.1").chunk(2, dim=-1)
        dense = [n.rpartition(".")[0] for n in p if n.startswith(f"{think}.") and "weight" in n]
        h = h + linear(a * torch.relu(b), dense[-1])
    last = next(name.rpartition(".")[0] for name in p if name.startswith("layernorm"))
    return linear(torch.relu(normed(h[:, 0], last)), "output")


@pytest.mark.parametrize(("n_numbers", "cardinalities"), [(3, [2, 4]), (4, []), (0, [3, 5])])
@pytest.mark.parametrize("name", SINGLE)
def test_the_network_is_that_of_the_paper(name, n_numbers, cardinalities):
    torch = pytest.importorskip("torch")
    preset = clone(QUICK[name]).set_params(**NO_DROPOUT[name])
    network = network_of(preset, n_numbers, cardinalities)
    rows = [RNG.normal(size=(12, n_numbers)), *(RNG.integers(0, c, (12, 1)) for c in cardinalities)]
    x, dy = np.hstack(rows), RNG.normal(size=(12, 2))
    workspace = Workspace(network, 12)
    y = network.forward(x, workspace, np.random.default_rng(0)).copy()
    network.backward(dy.copy(), workspace)
    trained = {
        f"{layer}.{key}" for layer, views in zip(network.names, workspace.views, strict=True)
        for key in views
    }  # fmt: skip
    p = {key: torch.tensor(array, requires_grad=True) for key, array in network.by_name().items()
         if key in trained}  # fmt: skip
    if name == "resnet":
        expected = torch_resnet(torch, p, torch.tensor(x), n_numbers, cardinalities)
    else:
        heads = preset.n_heads
        expected = torch_ft_transformer(torch, p, torch.tensor(x), n_numbers, cardinalities, heads)
    expected.backward(torch.tensor(dy))
    np.testing.assert_allclose(y, expected.detach(), rtol=1e-8, atol=1e-8)
    for layer, grads in zip(network.names, workspace.views, strict=True):
        for key, grad in grads.items():
            assert p[f"{layer}.{key}"].grad is not None, f"{layer}.{key} is not used"
            wanted = p[f"{layer}.{key}"].grad.numpy()
            scale = max(1.0, abs(wanted).max())
            np.testing.assert_allclose(grad, wanted, rtol=0, atol=1e-8 * scale, err_msg=key)


def test_default_sizes():
    # Counted by hand for 5 numbers and one column of 7 codes, two classes.
    resnet = network_of(ResNet(), 5, [7], 1)
    d, h = 128, 256
    block = 2 * d + d * h + h + h * d + d
    assert resnet.params.size == 7 * 8 + (5 + 8 + 1) * d + 2 * block + 2 * d + d + 1
    transformer = network_of(FTTransformer(), 5, [7], 1)
    d, h = 192, 256
    attention, gated = 4 * (d * d + d), d * 2 * h + 2 * h + h * d + d
    tokens = (1 + 5 + 6 + 7) * d
    assert transformer.params.size == tokens + 3 * (attention + gated) + 6 * 2 * d + d + 1


def test_the_first_block_does_not_normalise_before_attention():
    layers = FTTransformer().hidden_layers(3, [])
    first = [isinstance(layer.layers[0], LayerNorm) for layer in layers[1:-2]]
    assert first == [False, True, True, True, True, True]


@pytest.mark.parametrize("name", SINGLE)
def test_first_values_are_those_of_torch(name):
    network = network_of(QUICK[name], 6, [9])
    network.init(np.random.RandomState(0))
    for key, array in network.by_name().items():
        kind = key.rpartition(".")[2]
        if key == "categories.weight":
            assert array.std() == pytest.approx((3 * 8) ** -0.5, rel=0.25)
            continue
        if kind.startswith("weight") and array.ndim == 2:
            fan_in = array.shape[1 if key.startswith("tokens") else 0]
            bound = fan_in**-0.5
            assert abs(array).max() <= bound * (1 + 1e-12), key
            assert abs(array).max() > 0.9 * bound, key
        elif kind in ("bias_qkv", "bias_out"):
            assert not array.any(), key
        elif kind == "bias":
            assert array.any(), key


@pytest.mark.parametrize(("preset", "decay", "spared"), [
    (ResNet(), 0.01, "no such layer"), (FTTransformer(), 1e-5, "tokens.")
])  # fmt: skip
def test_what_decays(preset, decay, spared):
    network = network_of(preset, 3, [4])
    rules = rules_of(preset.optimizer(), network)
    for one, rule in zip(network.parameters, rules, strict=True):
        weight = one.key.rpartition(".")[2].startswith("weight")
        decays = weight and not one.name.startswith(spared)
        assert rule.weight_decay == (decay if decays else 0.0), one.name


def torch_tabm(torch, p, x, mini, n_blocks):
    """Return what the paper's section 3 makes of rows: shape (n, members, outputs)."""
    names = list(dict.fromkeys(name.rpartition(".")[0] for name in p))
    h = x[:, None]
    if mini:
        h = h * p[f"{names.pop(0)}.factor"]
    for name in names[:n_blocks]:
        weight, bias = p[f"{name}.weight"], p[f"{name}.bias"]
        if mini:
            h = torch.relu(h @ weight + bias)
        else:
            product = (h * p[f"{name}.input_factor"]) @ weight
            h = torch.relu(product * p[f"{name}.output_factor"] + bias)
    return torch.einsum("nkd,kdo->nko", h, p["output.weight"]) + p["output.bias"]


def tabm_network(mini, sources=(0, 1, 1, 2), **params):
    """Build the network of TabM for rows made of some columns."""
    preset = TabM(n_members=3, units=8, n_blocks=2, dropout=0.0, mini=mini).set_params(**params)
    layers = [*preset.hidden_layers(sources), *preset.output_layers((3, preset.units), 2)]
    network = Network(layers, (len(sources),), np.float64)
    network.init(np.random.RandomState(0))
    return network


@pytest.mark.parametrize("mini", [False, True])
def test_the_network_is_tabm(mini):
    torch = pytest.importorskip("torch")
    network = tabm_network(mini)
    network.params[...] = np.random.default_rng(1).normal(0, 0.4, network.params.size)
    x, dy = RNG.normal(size=(12, 4)), RNG.normal(size=(12, 3, 2))
    workspace = Workspace(network, 12)
    y = network.forward(x, workspace, np.random.default_rng(0)).copy()
    network.backward(dy.copy(), workspace)
    p = {key: torch.tensor(array, requires_grad=True) for key, array in network.by_name().items()}
    expected = torch_tabm(torch, p, torch.tensor(x), mini, 2)
    expected.backward(torch.tensor(dy))
    np.testing.assert_allclose(y, expected.detach(), rtol=1e-10)
    for layer, grads in zip(network.names, workspace.views, strict=True):
        for key, grad in grads.items():
            wanted = p[f"{layer}.{key}"].grad.numpy()
            np.testing.assert_allclose(grad, wanted, rtol=1e-8, atol=1e-10, err_msg=key)


@pytest.mark.parametrize("mini", [False, True])
def test_first_values_of_tabm(mini):
    network = tabm_network(mini, n_members=3)
    p = network.by_name()
    (factors,) = [array for key, array in p.items()
                  if key in ("batchensemble_0.input_factor", "memberscale_0.factor")]  # fmt: skip
    assert set(factors.ravel()) == {-1.0, 1.0}
    np.testing.assert_array_equal(factors[:, 1], factors[:, 2])  # of one column of the table
    for key, array in p.items():
        kind = key.rpartition(".")[2]
        if kind == "weight":
            assert 0.8 * array.shape[-2] ** -0.5 < abs(array).max() <= array.shape[-2] ** -0.5
        elif kind == "bias" and array.ndim == 2:
            # Members begin alike, save in their outputs.
            assert (array == array[0]).all() == (not key.startswith("output"))
        elif kind != "bias" and array is not factors:
            np.testing.assert_array_equal(array, 1.0)


def test_parameters_of_tabm():
    preset = TabM()
    d, h, k = 4, 512, 32
    layers = [*preset.hidden_layers(range(d)), *preset.output_layers((k, h), 1)]
    size = Network(layers, (d,), np.float32).params.size
    factors = k * (d + 2 * h) + 2 * k * 3 * h
    assert size == d * h + 2 * h * h + factors + k * (h + 1)


# ------------------------------------------------------------ at work


@may_run_out
@pytest.mark.parametrize("name", NAMES)
def test_raw_tables(name):
    rows, value = table(seed=1)
    label = np.where(np.median(VALUE) < value, "dear", "cheap")
    classifier = TabularClassifier(QUICK[name], random_state=0).fit(X, LABEL)
    assert classifier.score(rows, label) > 0.85
    np.testing.assert_allclose(classifier.predict_proba(rows).sum(axis=1), 1, rtol=1e-6)
    regressor = TabularRegressor(QUICK[name], random_state=0).fit(X, VALUE)
    assert regressor.score(rows, value) > 0.8
    strange = rows.assign(color="violet", size=np.nan).head(3)  # nothing like it in training
    assert len(regressor.predict(strange)) == len(classifier.predict(strange)) == 3
    assert len(regressor.predict(strange.head(1))) == 1


@may_run_out
@pytest.mark.parametrize("columns", [["size", "age"], ["color"], ["color", "new"], ["size"]],
                         ids="-".join)  # fmt: skip
@pytest.mark.parametrize("name", NAMES)
def test_tables_of_one_kind(name, columns):
    rows = X[columns]
    preset = clone(QUICK[name]).set_params(max_iter=5)
    model = TabularClassifier(preset, random_state=0).fit(rows, LABEL)
    assert model.predict_proba(rows).shape == (300, 2)
    again = TabularClassifier(preset, random_state=0).fit(rows, LABEL)
    np.testing.assert_array_equal(again.predict_proba(rows), model.predict_proba(rows))


@may_run_out
@pytest.mark.parametrize("name", NAMES)
def test_targets_of_several_columns(name):
    preset = clone(QUICK[name]).set_params(max_iter=10)
    labels = np.column_stack([LABEL == "dear", X["new"], X["color"] == "red"]).astype(int)
    model = TabularClassifier(preset, random_state=0).fit(X, labels)
    assert model.predict_proba(X).shape == labels.shape
    numbers = np.column_stack([VALUE, 1000.0 - VALUE])
    assert TabularRegressor(preset, random_state=0).fit(X, numbers).predict(X).shape == (300, 2)


@pytest.mark.parametrize("name", NAMES)
def test_a_score_as_good_as_the_best_is_no_progress(name):
    rows = pd.DataFrame({"a": np.repeat([-1.0, 1.0], 100) + 0.01 * RNG.normal(size=200)})
    labels = np.repeat([0, 1], 100)
    preset = clone(QUICK[name]).set_params(max_iter=1000, patience=4)
    model = TabularClassifier(preset, random_state=0).fit(rows, labels)
    scores = np.asarray(model.network_.validation_scores_)
    best = int(scores.argmax())
    assert scores[best] == 1.0
    assert len(scores) == best + 1 + 5  # more than four epochs without a better one


@pytest.mark.parametrize("name", NAMES)
def test_the_held_out_share(name):
    preset = clone(QUICK[name]).set_params(max_iter=2, validation_fraction=0.5, batch_size=300)
    with pytest.warns(ConvergenceWarning, match="Maximum iterations"):
        model = TabularRegressor(preset, random_state=0).fit(X, VALUE)
    assert model.network_.t_ == 2 * 150
    parameters = preset.network_parameters(model.encoder_, 300, False)
    assert parameters["batch_size"] == 150
    assert parameters["early_stopping"] and parameters["validation_fraction"] == 0.5
    few = preset.network_parameters(model.encoder_, 39, False)
    assert few["batch_size"] == 39 and not few["early_stopping"]


@may_run_out
@pytest.mark.parametrize("name", NAMES)
def test_few_rows(name):
    model = TabularClassifier(clone(QUICK[name]).set_params(max_iter=5), random_state=0)
    model.fit(X[:12], LABEL[:12])
    assert model.predict(X).shape == (300,)
    assert model.network_.t_ == 5 * 12 and not model.network_.early_stopping


@may_run_out
@pytest.mark.parametrize("name", NAMES)
def test_saved_cloned_and_searched(name):
    preset = clone(QUICK[name]).set_params(max_iter=3)
    model = TabularRegressor(preset, random_state=0).fit(X, VALUE)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    twin = clone(model).fit(X, VALUE)
    np.testing.assert_array_equal(twin.predict(X), model.predict(X))
    grid = {"preset__n_blocks": [1, 2], "preset__units": [8]}
    search = GridSearchCV(model, grid, cv=2).fit(X, VALUE)
    assert search.best_params_["preset__units"] == 8
    assert preset.units == QUICK[name].units  # a search changes copies


@pytest.mark.parametrize(("preset", "message"), [
    (ResNet(units=0), "'units' parameter of ResNet"),
    (ResNet(residual_dropout=1.0), "'residual_dropout'"),
    (ResNet(patience=0), "'patience'"),
    (ResNet(validation_fraction=1.0), "'validation_fraction'"),
    (ResNet(learning_rate=0), "'learning_rate'"),
    (FTTransformer(n_blocks=0), "'n_blocks' parameter of FTTransformer"),
    (FTTransformer(hidden_units=1.5), "'hidden_units'"),
    (FTTransformer(units=20, n_heads=8), "units=20, which n_heads=8 does not divide"),
    (FTTransformer(weight_decay=-1), "'weight_decay'"),
    (TabM(n_members=0), "'n_members' parameter of TabM"),
    (TabM(mini=1), "'mini'"),
    (TabM(n_blocks=0), "'n_blocks'"),
])  # fmt: skip
def test_wrong_numbers(preset, message):
    model = TabularClassifier(preset)
    with pytest.raises(ValueError, match=message):
        model.fit(X, LABEL)
    assert not hasattr(model, "encoder_")


WHY = "medians and quantiles count rows, not weights"
EXPECTED = {f"check_sample_weight_equivalence_on_{kind}_data": WHY for kind in ("dense", "sparse")}
ROUNDING = "float32: what a row is computed with decides how it is rounded; the check allows 1e-7"
EXPECTED |= dict.fromkeys(
    ("check_methods_subset_invariance", "check_methods_sample_order_invariance"), ROUNDING
)


@may_run_out
@parametrize_with_checks(
    [
        TabularClassifier(clone(QUICK["ft-transformer"]).set_params(max_iter=40), random_state=0),
        TabularRegressor(clone(QUICK["resnet"]).set_params(max_iter=40), random_state=0),
    ],
    expected_failed_checks=lambda estimator: EXPECTED,
)
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)
