"""Training that goes wrong: rates, scales, early stopping, validation sets, scorers."""

import numpy as np
from sklearn.model_selection import KFold, PredefinedSplit, ShuffleSplit

from ..expect import either, gives, raises
from ..oracles import anything, finite
from ..registry import case, cases

SAID = "diverged|not finite|scale|too large|beyond"
SOUND = either(SAID, oracle=finite)
RATES = (1e-300, 1e-30, 1.0, 1e3, 1e9, 1e30, 1e150, 1e300)


@cases("rates", {f"{rate:g}": (rate, SOUND) for rate in RATES}, on="seeded solver")
def rates_of_other_solvers(net, rate):
    return net.use(net.fitted(learning_rate_init=rate))


@cases("rates of the usual solvers", {f"{rate:g}": (rate, SOUND) for rate in RATES},
       on="table stochastic")  # fmt: skip
def rates(net, rate):
    return net.use(net.fitted(learning_rate_init=rate))


@cases("rates of networks", {f"{rate:g}": (rate, SOUND) for rate in RATES}, on="network")
def rates_of_networks(net, rate):
    return net.use(net.fitted(learning_rate_init=rate))


@cases("rates with early stopping", {f"{rate:g}": (rate, SOUND) for rate in RATES},
       on="table stochastic -skorch")  # fmt: skip
def rates_with_early_stopping(net, rate):
    return net.use(net.fitted(learning_rate_init=rate, early_stopping=True))


@cases("rates in partial_fit", {f"{rate:g}": (rate, SOUND) for rate in RATES},
       on="table stochastic")  # fmt: skip
def rates_in_pieces(net, rate):
    model = net.fitted(learning_rate_init=rate)
    for _ in range(3):
        net.method(model, "partial_fit")(net.X, net.y)
    return net.use(model)


SCALES = (1e-300, 1e-30, 1e6, 1e15, 1e30, 1e100, 1e200, 1e300)


@cases("scales of rows", {f"{scale:g}": (scale, SOUND) for scale in SCALES}, on="numeric")
def scales(net, scale):
    rows = np.array(net.X) * scale
    return net.use(net.fit(net.make(), rows), rows)


@cases("scales of targets", {f"{scale:g}": (scale, SOUND) for scale in SCALES},
       on="supervised regressor")  # fmt: skip
def scales_of_targets(net, scale):
    return net.use(net.fit(net.make(), net.X, np.array(net.y) * scale))


@cases("scales of rows in predict", {f"{scale:g}": (scale, SOUND) for scale in SCALES},
       on="network -codes")  # fmt: skip
def scales_in_networks(net, scale):
    return net.use(net.fitted(), np.array(net.X) * scale)


STRENGTHS = (1e-300, 1e3, 1e30, 1e300)


@cases("penalties", {f"{alpha:g}": (alpha, SOUND) for alpha in STRENGTHS}, on="table")
def penalties(net, alpha):
    return net.use(net.fitted(alpha=alpha))


LOSSES = {
    "classifier": ("focal", "hinge", "binary_log_loss"),
    "regressor": ("absolute_error", "huber", "log_cosh", "quantile", "poisson", "gamma", "tweedie",
                  "gaussian_nll"),
}  # fmt: skip
FOR_LOSSES = [(kind, loss, rate) for kind, losses in LOSSES.items() for loss in losses
              for rate in (1e3, 1e30)]  # fmt: skip
for _kind, _loss, _rate in FOR_LOSSES:

    @case("rates of losses", f"{_loss}, {_rate:g}", SOUND, on=f"table {_kind} skbp")
    def with_loss(net, loss=_loss, rate=_rate):
        stochastic = "lbfgs" not in net.roles
        more = {"learning_rate_init": rate} if stochastic else {}
        y = np.abs(net.y) + 0.1 if "regressor" in net.roles else net.y
        model = net.make(loss=loss, **more).fit(net.X * (1 if stochastic else rate), y)
        return model.predict(net.X)


FEW = {
    "two rows": (2, either("rows|small|class", oracle=finite)),
    "three rows": (3, either("rows|small|class", oracle=finite)),
    "four rows": (4, either("rows|small|class", oracle=finite)),
    "ten rows": (10, either("rows|small|class", oracle=finite)),
}


@cases("early stopping on few rows", FEW, on="table stochastic -skorch")
def few(net, n):
    model = net.make(early_stopping=True)
    return net.use(net.fit(model, net.X[:n], net.y[:n]))


@case("early stopping on few rows", "one row of a class", either("two|class|least",
      oracle=finite), on="table classifier stochastic -skorch")  # fmt: skip
def one_of_a_class(net):
    y = np.zeros(len(net.X), int)
    y[0] = 1
    return net.use(net.fit(net.make(early_stopping=True), net.X, y))


def raising(*_, **__):
    raise RuntimeError("planted")


NAMES = "scor"
SCORERS = {
    "returns NaN": (lambda e, X, y: np.nan, either(NAMES, oracle=finite)),
    "returns infinity": (lambda e, X, y: np.inf, either(NAMES, oracle=finite)),
    "returns minus infinity": (lambda e, X, y: -np.inf, either(NAMES, oracle=finite)),
    "returns None": (lambda e, X, y: None, raises(NAMES)),
    "returns a text": (lambda e, X, y: "a", raises(NAMES)),
    "returns an array": (lambda e, X, y: np.ones(3), raises(NAMES)),
    "returns complex": (lambda e, X, y: 1j, raises(NAMES)),
    "raises": (raising, raises("planted", error=(RuntimeError, ValueError))),
    "takes no arguments": (lambda: 1.0, raises("argument|scor", error=(TypeError, ValueError))),
    "writes to its rows": (lambda e, X, y: X.fill(0), raises("read-only|scor")),
}


@cases("scorers", SCORERS, on="table stochastic skbp")
def scorers(net, scoring):
    return net.use(net.fitted(early_stopping=True, scoring=scoring))


SPLITTERS = {
    "one fold": (KFold(2), gives(finite)),
    "no split": (PredefinedSplit(np.full(30, -1)), raises("split|fold|valid")),
    "a text": ("a", raises("validation_fraction|cv|split")),
    "an empty list": ([], raises("split|validation_fraction|empty")),
    "rows that are not there": ([(np.arange(20), np.array([99]))], raises("99|row|index|range")),
    "negative rows": ([(np.arange(20), np.array([-1]))],
                      either("row|index|range|negative", oracle=finite)),
    "the same rows twice": ([(np.arange(20), np.arange(20))],
                            either("both|overlap|same|twice|row", oracle=finite)),
    "no rows to train on": ([(np.arange(0), np.arange(20))], raises("train|row|empty|sample")),
    "no rows to validate on": ([(np.arange(20), np.arange(0))], raises("valid|row|empty|sample")),
    "floats for rows": ([(np.arange(20.0), np.arange(20.0, 30))],
                        raises("int|row|index|number|whole")),
    "masks": ([(np.arange(30) < 20, np.arange(30) >= 20)], either("row|int|mask|bool",
                                                                  oracle=finite)),
    "texts for rows": ([(["a"], ["b"])], raises("int|row|index|number|whole")),
    "a random one": (ShuffleSplit(1, random_state=0), gives(finite)),
}  # fmt: skip


@cases("splitters", SPLITTERS, on="table stochastic skbp")
def splitters(net, cv):
    return net.use(net.fitted(early_stopping=True, validation_fraction=cv))


VALIDATION = {
    "NaN": (lambda X, y: (np.where(X > 0, np.nan, X), y), raises("NaN")),
    "other features": (lambda X, y: (X[:, :2], y), raises("features")),
    "no rows": (lambda X, y: (X[:0], y[:0]), raises("0 sample|row|empty")),
    "no targets": (lambda X, y: (X, None), raises("y_val|None")),
    "no rows but targets": (lambda X, y: (None, y), raises("X_val|None")),
    "other lengths": (lambda X, y: (X, y[1:]), raises("inconsistent|length")),
    "NaN targets": (lambda X, y: (X, np.full(len(y), np.nan)), raises("NaN|missing")),
    "one row": (lambda X, y: (X[:1], y[:1]), either("score|row|R2|valid", oracle=finite)),
}


@cases("validation sets", VALIDATION, on="table stochastic skbp")
def validation_sets(net, change):
    X_val, y_val = change(np.array(net.X), np.array(net.y))
    model = net.make(early_stopping=True)
    return net.use(model.fit(net.X, net.y, X_val=X_val, y_val=y_val))


@case("validation sets", "without early stopping", either("early_stopping|X_val", oracle=finite),
      on="table stochastic skbp")  # fmt: skip
def without_early_stopping(net):
    return net.use(net.make().fit(net.X, net.y, X_val=net.X, y_val=net.y))


@case("validation sets", "labels that training has not", raises("9|class|label"),
      on="table stochastic classifier skbp")  # fmt: skip
def unknown_labels(net):
    model = net.make(early_stopping=True)
    return model.fit(net.X, net.y, X_val=net.X, y_val=np.array(net.y) + 9)


#: Estimators of tables refuse a table without information; scikit-learn's a single class.
USELESS = either("constant|only one class", oracle=finite)
FITS = {
    "constant rows": (lambda X, y: (np.ones_like(X), y), USELESS),
    "zero rows": (lambda X, y: (np.zeros_like(X), y), USELESS),
    "one constant column": (lambda X, y: (X * [1, 0, 1], y), gives(finite)),
    "the same row many times": (lambda X, y: (np.tile(X[:1], (30, 1)), y), USELESS),
    "columns of very different scale": (lambda X, y: (X * [1e-12, 1, 1e12], y), SOUND),
    "constant targets": (lambda X, y: (X, np.full_like(y, y[0])), USELESS),
}


@cases("poor tables", FITS, on="any supervised -pairs -texts")
def poor_tables(net, change):
    X, y = change(np.array(net.X), np.array(net.y))
    return net.use(net.fit(net.make(), X, y), X)


@case("poor tables", "a batch of one row with batch normalization", either("row|batch",
      oracle=finite), on="table stochastic skbp")  # fmt: skip
def batches_of_one(net):
    return net.use(net.fitted(batch_size=1, normalization="batch"))


@case("poor tables", "a last batch of one row with batch normalization", gives(finite),
      on="table stochastic skbp")  # fmt: skip
def last_of_one(net):
    return net.use(net.fitted(batch_size=29, normalization="batch"))


NAN_PLACES = {
    "one value": (0, 2, 1), "part of the last step": (0, -1, 0), "part of the first": (3, 0, 2),
}  # fmt: skip


@cases("NaN in steps", {name: (place, raises("NaN|row|step")) for name, place in
                        NAN_PLACES.items()}, on="network steps")  # fmt: skip
def nan_in_steps(net, place):
    rows = np.array(net.X)
    rows[place] = np.nan
    return net.use(net.fit(net.make(), rows), rows)


@cases("NaN in steps in predict", {name: (place, raises("NaN|row|step")) for name, place in
                                   NAN_PLACES.items()}, on="network steps")  # fmt: skip
def nan_in_steps_in_predict(net, place):
    rows = np.array(net.X)
    rows[place] = np.nan
    return net.use(net.fitted(), rows)


@case("NaN in steps", "a whole step", either("NaN|absent|step", oracle=finite), on="network steps")
def whole_step(net):
    rows = np.array(net.X)
    rows[3, 2:] = np.nan
    return net.use(net.fit(net.make(), rows), rows)


@case("NaN in steps", "all steps of a row", either("NaN|absent|step", oracle=finite),
      on="network steps")  # fmt: skip
def all_steps(net):
    rows = np.array(net.X)
    rows[3] = np.nan
    return net.use(net.fit(net.make(), rows), rows)


NO_CODE = raises("code|0 .. 5|whole|negative|index|embed|too large")
CODES = {"a fraction": 1.5, "negative": -1.0, "too large": 6.0, "1e9": 1e9, "1e300": 1e300}


@cases("codes", {name: (code, NO_CODE) for name, code in CODES.items()},
       on="network codes", risky=True)  # fmt: skip
def codes(net, code):
    rows = np.array(net.X)
    rows[3, 2] = code
    return net.use(net.fit(net.make(), rows), rows)


@cases("codes in predict", {name: (code, NO_CODE) for name, code in CODES.items()},
       on="network codes", risky=True)  # fmt: skip
def codes_in_predict(net, code):
    rows = np.array(net.X)
    rows[3, 2] = code
    return net.use(net.fitted(), rows)


ROWS = {
    "two axes": (lambda X: X.reshape(len(X), -1), anything),
    "one axis": (lambda X: X.ravel(), anything),
    "one axis more": (lambda X: X[..., None], anything),
    "other steps": (lambda X: X[:, :2], anything),
    "other channels": (lambda X: X[..., :1], anything),
}


@cases("axes of rows in predict", {name: (change, raises("shape|feature|dim|axes|2D|step|channel"))
       for name, (change, _) in ROWS.items() if name != "two axes"},
       on="network -codes")  # fmt: skip
def axes(net, change):
    model = net.fitted()
    rows = change(np.array(net.X))
    if rows.shape == net.X.shape:
        raise ValueError("the same shape")
    return net.use(model, rows)
