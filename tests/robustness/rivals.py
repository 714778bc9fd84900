"""The same for scikit-learn's MLP and for skorch; parameters by our names, where they have such."""

import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor

from . import data
from .registry import NotMeant
from .subjects import Subject


class OfSkorch(Subject):
    """A network of skorch, as its users write it: rows come as float32."""

    names = {
        "learning_rate_init": "lr", "max_iter": "max_epochs", "alpha": "optimizer__weight_decay",
        "momentum": "optimizer__momentum", "hidden_layer_sizes": "module__sizes",
        "dropout": "module__dropout", "random_state": None, "solver": None, "dtype": None,
        "learning_rate": None, "tol": None, "early_stopping": None,
    }  # fmt: skip


def _skorch():
    from .skorch_parts import Module, NeuralNetClassifier, Regressor, torch

    def quiet(cls, **params):
        torch.manual_seed(0)
        return cls(Module, verbose=0, train_split=None, **params)

    found = []
    for cls, role, y, fixed in (
        (NeuralNetClassifier, "classifier", data.LABELS, {"criterion": torch.nn.CrossEntropyLoss}),
        (Regressor, "regressor", data.NUMBERS, {"module__n_outputs": 1}),
    ):
        for solver, optimizer in (("adam", torch.optim.Adam), ("sgd", torch.optim.SGD)):
            defaults = {"max_epochs": 3, "optimizer": optimizer, **fixed}
            roles = f"table {solver} stochastic any numeric supervised {role}"
            subject = OfSkorch(cls, roles, data.X, y,
                               defaults, owner="skorch", estimator=f"NeuralNet{role.title()}",
                               name=f"skorch {role} {solver}")  # fmt: skip
            known = {
                one
                for base in cls.__mro__
                if hasattr(base.__init__, "__code__")
                for one in base.__init__.__code__.co_varnames
            }
            subject.translated = _translator(subject, known)
            subject.make = lambda subject=subject, cls=cls, **params: quiet(
                cls, **(subject.defaults | subject.translated(params))
            )
            subject.fitted()  # what is imported meanwhile may change the filters of warnings
            found.append(subject)
    return found


def _translator(subject, known):
    def translated(params):
        found = {subject.names.get(name, name): value for name, value in params.items()}
        for name in found:
            if name is None or name.split("__")[0] not in known:
                raise NotMeant(name)
        return found

    return translated


def rivals():
    """Return MLPClassifier and MLPRegressor with each solver, and those of skorch."""
    found = []
    for cls, role, y in (
        (MLPClassifier, "classifier", data.LABELS), (MLPRegressor, "regressor", data.NUMBERS),
    ):  # fmt: skip
        for solver in ("adam", "sgd", "lbfgs"):
            kind = solver + " stochastic" * (solver != "lbfgs")
            params = {"hidden_layer_sizes": (4,), "max_iter": 3, "random_state": 0,
                      "solver": solver}  # fmt: skip
            roles = f"table any numeric seeded supervised weighted {kind} {role}"
            found.append(Subject(cls, roles, data.X, np.asarray(y), params, owner="MLP",
                                 name=f"{cls.__name__} {solver}"))  # fmt: skip
    return found + _skorch()
