"""What is done with fitted estimators: copies, pickles, edits, other parameters, warm starts."""

import copy
import io
import pickle

import joblib
import numpy as np
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skbp.layers import Dense

from .. import data
from ..expect import either, gives, raises
from ..oracles import anything, equal, finite
from ..registry import NotMeant, case, cases

METHODS = ("predict", "predict_proba", "predict_log_proba", "decision_function", "transform",
           "predict_interval", "predict_set", "predict_members", "predict_std", "score_samples",
           "predictor", "recommend", "generate", "encode")  # fmt: skip


@cases("not fitted", {name: (name, raises("not fitted", error=(NotFittedError, AttributeError)))
                      for name in METHODS}, on="any")  # fmt: skip
def not_fitted(net, name):
    model = net.make()
    method = net.method(model, name)
    return method() if name == "predictor" else method(net.X[:3])


@case("not fitted", "score", raises("not fitted"), on="any supervised")
def score(net):
    return net.method(net.make(), "score")(net.X, net.y)


def through_joblib(model):
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return joblib.load(file)


COPIES = {
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    **{f"pickle protocol {n}": lambda model, n=n: pickle.loads(pickle.dumps(model, protocol=n))
       for n in (2, 3, 4, 5)},
    "joblib": through_joblib,
    "twice": lambda model: pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(model)))),
}  # fmt: skip


@cases("copies", {name: (make, gives(equal)) for name, make in COPIES.items()}, on="any")
def copies(net, make):
    model = net.fitted()
    rows = net.X[:7] if net.X is not None else net.X
    return _plain(net.use(make(model), rows)), _plain(net.use(model, rows))


def _plain(value):
    if isinstance(value, list):
        return [list(one) for one in value]
    return value.toarray() if hasattr(value, "toarray") else np.asarray(value)


@cases("copies go on", {name: (make, gives(equal)) for name, make in COPIES.items()
                        if name != "copy"}, on="table stochastic -skorch")  # fmt: skip
def go_on(net, make):
    model = net.fitted()
    other = make(model)
    for one in (model, other):
        net.method(one, "partial_fit")(net.X, net.y)
    return net.use(other), net.use(model)


@case("copies", "a shallow copy is fitted anew", gives(equal), on="numeric")
def shallow(net):
    model = net.fitted()
    before = net.use(model)
    net.fit(copy.copy(model), 2 * net.X)
    return net.use(model), before


@case("copies", "a clone is not fitted", raises("not fitted"), on="any -skorch -nearest")
def cloned(net):
    return net.use(clone(net.fitted()), net.X)


@case("copies", "a clone of a fitted one learns the same", gives(equal), on="any seeded")
def cloned_and_fitted(net):
    return _plain(net.use(net.fit(clone(net.fitted())))), _plain(net.use(net.fitted()))


@case("copies", "repr and parameters of a fitted one", gives(anything), on="any")
def shown(net):
    model = net.fitted()
    assert type(model).__name__ in repr(model) + type(model).__mro__[0].__name__
    assert set(model.get_params(deep=False)) == set(net.make().get_params(deep=False))


AFTER = {
    "hidden_layer_sizes": (9, 9), "activation": "tanh", "alpha": 100.0, "batch_size": 3,
    "learning_rate_init": 5.0, "max_iter": 1, "random_state": 9, "tol": 1.0, "momentum": 0.1,
    "beta_1": 0.1, "epsilon": 1.0, "dropout": 0.5, "normalization": "layer", "dtype": "float32",
    "loss": "foo", "layers": [Dense(3)], "n_members": 3, "warm_start": True,
}  # fmt: skip


@cases("parameters set after fit", {name: ((name, value), gives(equal))
                                    for name, value in AFTER.items()}, on="table")  # fmt: skip
def set_after_fit(net, given):
    name, value = given
    model = net.fitted()
    before = net.use(model)
    model.set_params(**net.translated({name: value}))
    return net.use(model), before


WARM = {
    "other rows": (lambda net, model: net.fit(model, 2 * net.X), gives(anything)),
    "fewer rows": (lambda net, model: net.fit(model, net.X[:20], net.y[:20]), gives(anything)),
    "another number of features": (lambda net, model: net.fit(model, net.X[:, :2]),
                                   raises("features")),
    "other hidden layers": (lambda net, model: net.fit(model.set_params(hidden_layer_sizes=(7,))),
                            raises("warm_start|hidden_layer_sizes|layers")),
    "another activation": (lambda net, model: net.fit(model.set_params(activation="tanh")),
                           either("warm_start|activation|layers", oracle=anything)),
    "another dtype of rows": (lambda net, model: net.fit(model, net.X.astype(np.float32)),
                              gives(anything)),
    "another alpha": (lambda net, model: net.fit(model.set_params(alpha=1.0)), gives(anything)),
    "another solver": (lambda net, model: net.fit(model.set_params(solver="adam")),
                       gives(anything)),
}  # fmt: skip


@cases("warm starts", WARM, on="table -skorch -MLP")
def warm(net, change):
    model = net.fitted(warm_start=True)
    change(net, model)
    finite(net.use(model, net.X))


@case("warm starts", "other classes", raises("class"), on="table classifier -skorch")
def other_classes(net):
    model = net.fitted(warm_start=True)
    net.fit(model, net.X, net.y + 1)


@case("warm starts", "more classes", raises("class"), on="table classifier -skorch")
def more_classes(net):
    model = net.fitted(warm_start=True)
    net.fit(model, net.X, np.arange(len(net.X)) % 3)


@case("warm starts", "more targets", raises("output|target|shape"), on="table regressor -skorch")
def more_targets(net):
    model = net.fitted(warm_start=True)
    net.fit(model, net.X, np.column_stack([net.y, net.y]))


EDITS = {
    "a row for a matrix": (lambda model: model.coefs_.__setitem__(0, np.ones(4)),
                           raises("shape")),
    "a number for a matrix": (lambda model: model.coefs_.__setitem__(0, 1.0), raises("shape")),
    "the transposed": (lambda model: model.coefs_.__setitem__(0, model.coefs_[0].T),
                       raises("shape")),
    "too few": (lambda model: setattr(model, "coefs_", [model.coefs_[0]]),
                raises("shape|length|number|arrays|expected|assign")),
    "too many": (lambda model: setattr(model, "coefs_", [*model.coefs_, model.coefs_[0]]),
                 raises("shape|length|number|arrays|expected|assign")),
    "texts": (lambda model: model.coefs_.__setitem__(0, np.full((3, 4), "a")),
              raises("convert|number|string")),
    "complex": (lambda model: model.coefs_.__setitem__(0, np.full((3, 4), 1j)),
                raises("complex|real")),
    "NaN": (lambda model: model.coefs_.__setitem__(0, np.full((3, 4), np.nan)),
            raises("NaN|finite")),
    "None": (lambda model: setattr(model, "coefs_", None),
             raises("None|expected|arrays", error=(ValueError, TypeError))),
    "a far index": (lambda model: model.coefs_.__setitem__(9, np.ones((3, 4))),
                    raises("range|index", error=IndexError)),
    "wrong biases": (lambda model: model.intercepts_.__setitem__(0, np.ones(5)), raises("shape")),
}  # fmt: skip


@cases("edited weights", EDITS, on="table skbp")
def edited(net, edit):
    model = net.fitted()
    before = net.use(model)
    try:
        edit(model)
    except (ValueError, TypeError, IndexError):
        equal((net.use(model), before))
        raise
    return net.use(model)


@case("edited weights", "twice the weights", gives(anything), on="table -skorch")
def twice(net):
    model = net.fitted()
    before = [np.array(one) for one in model.coefs_]
    for number, one in enumerate(before):
        model.coefs_[number] = 2 * one
    for number, one in enumerate(before):
        np.testing.assert_array_equal(model.coefs_[number], 2 * one)
    finite(net.use(model))


@case("edited weights", "of another's list", gives(equal), on="table skbp")
def of_a_copy(net):
    model, rows = net.fitted(), net.X
    before = net.use(model, rows)
    for array in model.weights_.values():
        array[...] = np.nan
    return net.use(model, rows), before


ATTRIBUTES = {"n_features_in_": 7, "classes_": None, "n_outputs_": 9, "_network": None}


@cases("edited attributes", {name: ((name, value), either("", error=(ValueError, AttributeError,
       TypeError), oracle=finite)) for name, value in ATTRIBUTES.items()},
       on="table skbp", risky=True)  # fmt: skip
def edited_attributes(net, given):
    model = net.fitted()
    if not hasattr(model, given[0]):
        raise NotMeant
    setattr(model, *given)
    return net.use(model)


@case("rows in between", "predict between two pieces", gives(equal), on="table stochastic")
def in_between(net):
    one, two = net.make(), net.make()
    more = {"classes": [0, 1]} if "classifier" in net.roles and net.owner != "skorch" else {}
    net.method(one, "partial_fit")
    for model in (one, two):
        model.partial_fit(net.X, net.y, **more)
        if model is one:
            net.use(model, data.X[:5])
        model.partial_fit(net.X, net.y)
    return net.use(one), net.use(two)
