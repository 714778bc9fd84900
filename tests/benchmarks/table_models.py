"""What runs on raw tables: each model behind the preparation that its users would give it.

Nothing is tuned: all have default parameters. A model is made by ``make(name, kind, ...)``.
"""

import logging

from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

#: Levels of a category that HistGradientBoosting can take.
MOST_LEVELS = 255
#: Levels of a category that get a column of their own before a network.
ONE_HOT = 50


class Columns(TransformerMixin, BaseEstimator):
    """Dates become numbers, strings become categoricals with the levels of the training rows.

    Parameters
    ----------
    most_levels : int or None, default=None
        The most frequent levels of a column that are kept; the others are missing. None keeps all.

    Notes
    -----
    Levels that are new at predict are missing. A date becomes days since 1970, month, day of the
    week and hour; ordered categoricals are categoricals.
    """

    def __init__(self, most_levels=None):
        self.most_levels = most_levels

    def fit(self, X, y=None):
        """Learn the levels of each column that is neither numbers nor dates."""
        self.levels_ = {}
        for name in X.columns[[not _is_number(X[name]) for name in X]]:
            counts = X[name].value_counts()
            counts = counts[counts > 0]
            self.levels_[name] = sorted(counts.index[: self.most_levels])
        return self

    def transform(self, X):
        """Return a frame of float64, booleans not among them, and categoricals."""
        import pandas as pd

        columns = {}
        for name in X:
            column = X[name]
            if pd.api.types.is_datetime64_any_dtype(column):
                parts = column.dt
                start = pd.Timestamp("1970-01-01", tz=parts.tz)
                columns[f"{name}_day"] = (column - start) / pd.Timedelta(days=1)
                for part in ("month", "day_of_week", "hour"):
                    columns[f"{name}_{part}"] = getattr(parts, part).astype(float)
            elif name in self.levels_:
                levels = self.levels_[name]
                values = column.astype(object).where(column.isin(levels))
                columns[name] = pd.Categorical(values, categories=levels)
            else:
                columns[name] = column.astype(float)
        return pd.DataFrame({
            name: pd.Series(values, index=X.index) for name, values in columns.items()
        })  # fmt: skip


def _is_number(column):
    import pandas as pd

    kinds = pd.api.types
    return kinds.is_datetime64_any_dtype(column) or (
        kinds.is_numeric_dtype(column) and not kinds.is_bool_dtype(column)
    )


class CatBoosted(BaseEstimator):
    """CatBoost, told which columns are categories; those are strings, a hole is "missing"."""

    def __init__(self, model):
        self.model = model

    def fit(self, X, y):
        """Train on the frame."""
        self.model.fit(self._strings(X), y, cat_features=list(X.select_dtypes("category")))
        self.classes_ = getattr(self.model, "classes_", None)
        return self

    def predict(self, X):
        """Return one value or label a row."""
        found = self.model.predict(self._strings(X))
        return found[:, 0] if found.ndim == 2 else found

    def predict_proba(self, X):
        """Return the probabilities of the classes."""
        return self.model.predict_proba(self._strings(X))

    @staticmethod
    def _strings(X):
        categories = X.select_dtypes("category").columns
        return X.assign(**{
            name: X[name].astype(object).where(X[name].notna(), "missing") for name in categories
        })  # fmt: skip


def make(name, kind, seed, threads, quick=False, settings=None):
    """Return an estimator that takes raw frames.

    Parameters
    ----------
    name : str
        One of `MODELS`; "ours" may be followed by a colon and a preset.
    kind : {"binary", "multiclass", "regression"}
    seed, threads : int
    quick : bool, default=False
        One step of training only, to load and compile what there is to.
    settings : dict, default=None
        Parameters of ours that are set.

    Returns
    -------
    estimator : estimator
        With `fit` and `predict`; for classes `predict_proba` and `classes_`, too.
    """
    base, _, preset = name.partition(":")
    if base == "ours":
        return _ours(kind, seed, quick, preset, settings or {})
    if settings or preset:
        raise ValueError(f"only ours takes a preset or settings, not {name!r}")
    return MODELS[base](kind == "regression", seed, threads, quick)


def _ours(kind, seed, quick, preset, settings):
    from skbp.tabular import TabularClassifier, TabularRegressor
    from skbp.tabular.presets import PRESETS

    cls = TabularRegressor if kind == "regression" else TabularClassifier
    model = cls(random_state=seed)
    if preset:
        model.set_params(preset=preset)
    if any(key.startswith("preset__") for key in settings):
        model.set_params(preset=PRESETS[model.preset]())
    model.set_params(**settings)
    return model.set_params(max_time=1e-3) if quick else model


def hgb(regression, seed, threads, quick):
    """HistGradientBoosting; it uses as many threads as the process may."""
    from sklearn import ensemble

    name = "HistGradientBoosting" + ("Regressor" if regression else "Classifier")
    model = getattr(ensemble, name)(
        categorical_features="from_dtype", random_state=seed, max_iter=1 if quick else 100
    )
    return make_pipeline(Columns(MOST_LEVELS), model)


def lightgbm(regression, seed, threads, quick):
    """LightGBM."""
    import lightgbm

    cls = lightgbm.LGBMRegressor if regression else lightgbm.LGBMClassifier
    model = cls(random_state=seed, n_jobs=threads, verbose=-1, n_estimators=1 if quick else 100)
    return make_pipeline(Columns(), model)


def catboost(regression, seed, threads, quick):
    """CatBoost: 1,000 trees."""
    import catboost

    cls = catboost.CatBoostRegressor if regression else catboost.CatBoostClassifier
    model = cls(
        random_seed=seed, thread_count=threads, verbose=0, allow_writing_files=False,
        iterations=1 if quick else None,
    )  # fmt: skip
    return make_pipeline(Columns(), CatBoosted(model))


def realmlp(regression, seed, threads, quick):
    """RealMLP-TD of pytabkit, on the CPU; it holds out 20 % of the training rows itself."""
    return _pytabkit("RealMLP_TD", regression, seed, threads, quick)


def tabm(regression, seed, threads, quick):
    """TabM-D of pytabkit, on the CPU; it holds out 20 % of the training rows itself."""
    return _pytabkit("TabM_D", regression, seed, threads, quick)


def _pytabkit(name, regression, seed, threads, quick):
    import pytabkit

    for logger in ("pytorch_lightning", "lightning", "lightning.pytorch"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    model = getattr(pytabkit, f"{name}_{'Regressor' if regression else 'Classifier'}")(
        device="cpu", random_state=seed, n_threads=threads, n_epochs=1 if quick else None
    )
    return make_pipeline(Columns(), filled(scaled=False, one_hot=False), model)


def mlp(regression, seed, threads, quick):
    """scikit-learn's MLP."""
    from sklearn import neural_network

    return _network(neural_network.MLPRegressor, neural_network.MLPClassifier, regression, seed,
                    quick)  # fmt: skip


def backprop(regression, seed, threads, quick):
    """skbp's estimators for rows of numbers, with their defaults."""
    import skbp

    return _network(skbp.BackpropRegressor, skbp.BackpropClassifier, regression, seed, quick)


def _network(regressor, classifier, regression, seed, quick):
    model = (regressor if regression else classifier)(random_state=seed)
    if quick:
        model.set_params(max_iter=1)
    if regression:
        model = TransformedTargetRegressor(model, transformer=StandardScaler())
    return make_pipeline(Columns(), filled(scaled=True, one_hot=True), model)


def filled(scaled, one_hot):
    """Return what fills holes in numbers by the median, and marks them.

    Parameters
    ----------
    scaled : bool
        Whether numbers are standardised.
    one_hot : bool
        Whether categories become columns of 0 and 1; they stay as they are otherwise.
    """
    numbers = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    categories = "passthrough"
    if one_hot:
        categories = OneHotEncoder(
            max_categories=ONE_HOT, handle_unknown="infrequent_if_exist", sparse_output=False
        )
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(numbers, StandardScaler()) if scaled else numbers,
             make_column_selector(dtype_include="number")),
            ("categories", categories, make_column_selector(dtype_include="category")),
        ],
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")  # fmt: skip


#: Models by name, and the packages that each needs.
MODELS = {
    "ours": None, "hgb": hgb, "lightgbm": lightgbm, "catboost": catboost, "realmlp": realmlp,
    "tabm": tabm, "mlp": mlp, "backprop": backprop,
}  # fmt: skip
NEEDS = {"lightgbm": "lightgbm", "catboost": "catboost", "realmlp": "pytabkit", "tabm": "pytabkit"}
