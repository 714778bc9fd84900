"""Files of models: exact, without code, whole or refused."""

import copy
import json
import os
import pickle
import stat
import warnings
import zipfile

import joblib
import numpy as np
import pytest
import skops.io
from _fitted import FITTED, LABELS, TABLE, TEXTS, WORDS, Y, classifier, layered, regressor
from _fitted import X as ROWS
from _text import write_encoder
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import (
    BaggingClassifier,
    HistGradientBoostingClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputRegressor, RegressorChain
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

import skbp
from skbp import BackpropClassifier, _plain_state
from skbp._plain import KINDS, kept
from skbp.callbacks import TimeLimit
from skbp.layers import LSTM, Dense, Layer
from skbp.losses import SquaredError
from skbp.persistence import _sklearn
from skbp.text import (
    BytePairTokenizer,
    TextClassifier,
    TextEncoder,
    TextRegressor,
    Tokenizer,
    load_encoder,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.skbp"


_kept: dict = {}


def fitted(name):
    """Return an estimator of a kind, what it takes, and what it says of that."""
    if name not in _kept:
        make, rows, method = FITTED[name]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _kept[name] = make()
    _, rows, method = FITTED[name]
    return _kept[name], rows, lambda one: getattr(copy.deepcopy(one), method)(rows)


def assert_same(one, other):
    if isinstance(one, tuple | list):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    else:
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def again(estimator, path, **how):
    skbp.save(estimator, path)
    return skbp.load(path, **how)


# ------------------------------------------------------------ exact


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("name", FITTED)
def test_a_file_gives_the_same_estimator(name, mmap, path):
    estimator, _, told = fitted(name)
    back = again(estimator, path, mmap=mmap)
    assert type(back) is type(estimator)
    assert_same(told(estimator), told(back))
    assert set(vars(back)) == set(estimator._parts())
    clone(back)
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("name", FITTED)
def test_pickles_and_copies_give_the_same_estimator(name):
    estimator, _, told = fitted(name)
    expected = told(estimator)
    for twin in (pickle.loads(pickle.dumps(estimator)), copy.copy(estimator)):
        assert_same(expected, told(twin))


def test_nothing_is_warned_of_again(path):
    # Of a setting that fit has warned of: whoever loads has not chosen it, and may have errors on.
    with pytest.warns(UserWarning, match="no effect"):
        net = layered(LSTM(3, dropout=0.5)).fit(ROWS.reshape(-1, 3, 1), LABELS)
    rows = ROWS.reshape(-1, 3, 1)
    for twin in (again(net, path), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(twin.predict_proba(rows), net.predict_proba(rows))


@pytest.mark.parametrize("name", FITTED)
def test_skops_needs_to_trust_the_estimators_own_class_alone(name):
    estimator, _, told = fitted(name)
    content = skops.io.dumps(estimator)
    own = f"{type(estimator).__module__}.{type(estimator).__qualname__}"
    assert skops.io.get_untrusted_types(data=content) == [own]
    assert_same(told(estimator), told(skops.io.loads(content, trusted=[own])))


@pytest.mark.parametrize("name", FITTED)
def test_a_file_names_no_code(name, path):
    estimator, *_ = fitted(name)
    skbp.save(estimator, path)
    with zipfile.ZipFile(path) as archive:
        content = archive.read("model.json").decode()
        for member in archive.namelist()[:-1]:
            with archive.open(member) as file:
                assert not np.lib.format.read_array(file, allow_pickle=False).dtype.hasobject
    for word in ("skbp.", "sklearn.", "numpy.", "__", "builtins", "<class", "<function"):
        assert word not in content


@pytest.mark.parametrize("train", ["head", "last"])
def test_text_models_with_their_encoder(train, path, tmp_path):
    folder = write_encoder(tmp_path / "encoder")
    texts, moods = ["good day", "bad day"] * 8, ["up", "down"] * 8
    for by_reference in (False, True):
        encoder = load_encoder(folder, by_reference=by_reference)
        model = TextClassifier(encoder, train=train, max_iter=1 if train == "last" else None,
                               random_state=0).fit(texts, moods)  # fmt: skip
        back = again(model, path)
        assert_same(model.predict_proba(texts), back.predict_proba(texts))
        assert back.encoder_ == model.encoder_
        if not by_reference:
            content = skops.io.dumps(model)
            own = ["skbp.text.classifier.TextClassifier"]
            assert skops.io.get_untrusted_types(data=content) == own
            back = skops.io.loads(content, trusted=own)
            assert_same(model.predict_proba(texts), back.predict_proba(texts))
    for one in (TextEncoder(encoder), Tokenizer(encoder), BytePairTokenizer(n_codes=270)):
        one.fit(texts)
        assert_same(one.transform(texts), again(one, path).transform(texts))
    ratings = TextRegressor(encoder).fit(texts, np.arange(16.0))
    assert_same(ratings.predict(texts), again(ratings, path).predict(texts))


def test_all_estimators_are_tried():
    tried = {type(fitted(name)[0]).__name__ for name in FITTED}
    estimators = {
        name for name, kind in KINDS.items()
        if issubclass(kind, _plain_state.PlainState) and not name.startswith(("_", "Base"))
        and hasattr(kind, "fit")
    }  # fmt: skip
    inside = {
        "Around", "ClassifierInside", "Columnwise", "Inside", "Keeping", "NextSymbolBase",
        "Preparation", "RegressorInside", "TableClassifier", "TableRegressor", "TextNetwork",
    }  # fmt: skip
    tested_with_texts = {"TextClassifier", "TextRegressor", "TextEncoder", "Tokenizer",
                         "BytePairTokenizer"}  # fmt: skip
    assert estimators - tried - inside == tested_with_texts


# ------------------------------------------------------------ training goes on


@pytest.mark.parametrize("solver", ["adam", "sgd", "muon", "lazy_adam"])
def test_with_its_optimizer_training_goes_on_bit_by_bit(solver, path):
    net = classifier().set_params(solver=solver).fit(ROWS, LABELS)
    skbp.save(net, path, optimizer=True)
    back, pickled = skbp.load(path), pickle.loads(pickle.dumps(net))
    for one in (net, back, pickled):
        for _ in range(3):
            one.partial_fit(ROWS, LABELS)
    for one in (back, pickled):
        assert (one._network.params == net._network.params).all()


def test_without_its_optimizer_a_file_is_smaller_and_training_begins_anew(path):
    net = BackpropClassifier((300,), max_iter=2, random_state=0).fit(ROWS, LABELS)
    skbp.save(net, path, optimizer=True)
    size = path.stat().st_size
    back = again(net, path)
    assert path.stat().st_size < size - 1.5 * net._network.params.nbytes
    assert back._history.optimizer.arrays is None
    assert net._history.optimizer.arrays is not None
    back.partial_fit(ROWS, LABELS)


def test_mapped_weights_are_changed_in_memory_only(path):
    net = BackpropClassifier((300,), max_iter=2, random_state=0).fit(ROWS, LABELS)
    skbp.save(net, path)
    content = path.read_bytes()
    one, other = (skbp.load(path, mmap=True) for _ in range(2))
    one.partial_fit(ROWS, LABELS)
    assert not (one.predict_proba(ROWS) == net.predict_proba(ROWS)).all()
    assert (other.predict_proba(ROWS) == net.predict_proba(ROWS)).all()
    assert path.read_bytes() == content
    skbp.save(one, path)  # in the place of what is mapped
    assert (other.predict_proba(ROWS) == net.predict_proba(ROWS)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_dtype_that_is_given_as_a_type(dtype, path):
    net = BackpropClassifier((4,), dtype=dtype, max_iter=1, random_state=0).fit(ROWS, LABELS)
    skbp.save(net, path)
    assert skbp.load(path).dtype is dtype
    assert pickle.loads(pickle.dumps(net)).dtype is dtype
    name = "skbp.estimators.classifier.BackpropClassifier"
    assert skops.io.get_untrusted_types(data=skops.io.dumps(net)) == [name]


def test_an_unfitted_estimator(path):
    net = BackpropClassifier(layers=[Dense(3, "gelu")], solver="sgd", class_weight={"a": 2})
    back = again(net, path)
    assert repr(back) == repr(net)
    assert not back.__sklearn_is_fitted__()


# ------------------------------------------------------------ scikit-learn around it


def columns():
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    return ColumnTransformer([
        ("numbers", numbers, ["number", "whole"]),
        ("texts", OneHotEncoder(handle_unknown="ignore"), ["text"]),
    ])  # fmt: skip


AROUND = {
    "pipeline": (lambda: make_pipeline(StandardScaler(), classifier()), ROWS, WORDS),
    "columns": (lambda: make_pipeline(columns(), classifier()), TABLE, WORDS),
    "union": (lambda: make_pipeline(make_union(StandardScaler(), "passthrough"), classifier()),
              ROWS, WORDS),
    "texts": (lambda: make_pipeline(TfidfVectorizer(), TruncatedSVD(2), classifier()),
              TEXTS, LABELS[:40]),
    "targets": (lambda: TransformedTargetRegressor(regressor(), transformer=StandardScaler()),
                ROWS, Y),
    "function": (lambda: make_pipeline(FunctionTransformer(np.square), classifier()), ROWS, WORDS),
    "vote": (lambda: VotingClassifier([("a", classifier()), ("b", LogisticRegression())]),
             ROWS, WORDS),
    "stack": (lambda: StackingClassifier([("a", classifier())], cv=2), ROWS, WORDS),
    "bag": (lambda: BaggingClassifier(classifier(), n_estimators=2), ROWS, WORDS),
    "sigmoid": (lambda: CalibratedClassifierCV(classifier(), cv=2), ROWS, WORDS),
    "isotonic": (lambda: CalibratedClassifierCV(classifier(), method="isotonic", cv=2),
                 ROWS, WORDS),
    "search": (lambda: GridSearchCV(classifier(), {"alpha": [0, 1]}, cv=2), ROWS, WORDS),
    "one against the rest": (lambda: OneVsRestClassifier(classifier()), ROWS, WORDS),
    "outputs": (lambda: MultiOutputRegressor(regressor()), ROWS, ROWS[:, :2]),
    "chain": (lambda: RegressorChain(regressor()), ROWS, ROWS[:, :2]),
    "frozen": (lambda: FrozenEstimator(classifier().fit(ROWS, WORDS)), ROWS, WORDS),
    "scorer": (lambda: classifier(early_stopping=True,
                                  scoring=make_scorer(f1_score, pos_label="yes")), ROWS, WORDS),
    "trees": (lambda: HistGradientBoostingClassifier(max_iter=2), ROWS, WORDS),
}  # fmt: skip


@pytest.mark.parametrize("name", AROUND)
def test_estimators_of_scikit_learn_around_it(name, path):
    make, rows, targets = AROUND[name]
    estimator = make().fit(rows, targets)
    back = again(estimator, path)
    assert type(back) is type(estimator)
    np.testing.assert_array_equal(estimator.predict(rows), back.predict(rows))
    if hasattr(estimator, "predict_proba"):
        np.testing.assert_array_equal(estimator.predict_proba(rows), back.predict_proba(rows))


def test_another_version_of_scikit_learn_warns(path, monkeypatch):
    estimator = make_pipeline(StandardScaler(), classifier()).fit(ROWS, WORDS)
    monkeypatch.setattr(_sklearn.sklearn, "__version__", "1.8.0")
    skbp.save(estimator, path)
    monkeypatch.undo()
    with pytest.warns(InconsistentVersionWarning, match=r"Pipeline from version 1\.8\.0"):
        skbp.load(path)


def test_another_version_of_skbp_warns_of_a_pickle_only(path, monkeypatch):
    net = classifier().fit(ROWS, LABELS)
    monkeypatch.setattr(_plain_state, "__version__", "0.0.1")
    content = pickle.dumps(net)
    monkeypatch.undo()
    with pytest.warns(InconsistentVersionWarning, match=r"BackpropClassifier from skbp 0\.0\.1"):
        pickle.loads(content)


# ------------------------------------------------------------ a caller's own parts


class Twice(Layer):
    """Rows times a number."""

    def __init__(self, factor=2.0, name=None):
        self.factor = factor
        self.name = name

    def work_shapes(self, shape, n, training):
        return {"y": (n, *shape)}

    def forward(self, x, p, w, ctx):
        return np.multiply(x, self.factor, out=w["y"])

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        dy *= self.factor
        return dy


class Doubled(SquaredError):
    """The squared error under another name."""


def test_own_components_are_given_by_the_caller(path):
    net = layered(Dense(4), Twice(3.0)).fit(ROWS, LABELS)
    skbp.save(net, path)
    with pytest.raises(ValueError, match=r"own, \['Twice'\].*components=\[Twice\]"):
        skbp.load(path)
    back = skbp.load(path, components=[Twice])
    assert (back.predict_proba(ROWS) == net.predict_proba(ROWS)).all()
    assert back.layers[1].factor == 3.0
    net = regressor(loss=Doubled()).fit(ROWS, Y)
    back = again(net, path, components=(Doubled, Twice, Dense))
    assert type(back.loss) is type(back._loss) is Doubled
    with pytest.raises(TypeError, match=r"classes of layers.*Got Twice\(\)"):
        skbp.load(path, components=[Twice()])
    with pytest.raises(TypeError, match="classes of layers"):
        skbp.load(path, components=[os.system])


def test_an_own_component_cannot_hide_one_of_skbp(path):
    class Dense(Twice):
        pass

    with pytest.raises(
        TypeError, match=r"class Dense of your own, and skbp\.layers\.dense\.Dense has this"
    ):
        skbp.save(layered(Dense()).fit(ROWS, LABELS), path)
    with pytest.raises(TypeError, match="two kinds named 'Dense'"):
        Dense.__module__ = "skbp.own"
        kept(Dense)


@pytest.mark.parametrize("bad, where", [
    (lambda: make_pipeline(FunctionTransformer(lambda x: x), classifier()).fit(ROWS, LABELS),
     r"steps\[0\]\[1\], a FunctionTransformer"),
    (lambda: classifier(scoring=lambda net, X, y: 1.0), "scoring is a function"),
    (lambda: classifier(validation_fraction=object()), "validation_fraction is a object"),
    (lambda: "no estimator", "save takes an estimator"),
])  # fmt: skip
def test_what_cannot_be_saved_is_an_error(bad, where, path):
    path.write_bytes(b"as before")
    with pytest.raises(TypeError, match=where):
        skbp.save(bad(), path)
    assert path.read_bytes() == b"as before"
    assert os.listdir(path.parent) == [path.name]


def test_callbacks_are_not_saved(path):
    net = classifier().set_callbacks(TimeLimit(9)).fit(ROWS, LABELS)
    with pytest.warns(UserWarning, match="callbacks are not saved"):
        skbp.save(net, path)
    assert not hasattr(skbp.load(path), "_skl_callbacks")
    assert net._skl_callbacks


class Evil:
    """What a pickle runs."""

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_a_path_to_start_from_leads_to_no_pickle(path, tmp_path):
    first, evil = tmp_path / "first.skbp", Evil()
    skbp.save(classifier().fit(ROWS, LABELS), first)
    back = again(classifier(init_from=first).fit(ROWS, LABELS), path)
    assert back.init_from == str(first)
    assert back.fit(ROWS, LABELS).copied_layers_ == {"dense_0": True, "output": True}
    evil.folder = tmp_path / "made"
    joblib.dump(evil, tmp_path / "evil")
    grid = {"init_from": [str(tmp_path / "evil")]}
    search = again(GridSearchCV(classifier(), grid, cv=2, error_score="raise"), path)
    with pytest.raises(ValueError, match=r"is no file of skbp\.save.*FrozenEstimator"):
        search.fit(ROWS, LABELS)
    assert not evil.folder.exists()


# ------------------------------------------------------------ files


def test_a_link_stays_a_link_and_rights_stay_as_they_are(tmp_path):
    real, link = tmp_path / "real.skbp", tmp_path / "link.skbp"
    real.write_bytes(b"")
    real.chmod(0o640)
    link.symlink_to(real)
    skbp.save(classifier().fit(ROWS, LABELS), link)
    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    skbp.load(link)


def test_other_files_are_refused(tmp_path):
    net = classifier().fit(ROWS, LABELS)
    joblib.dump(net, tmp_path / "a")
    np.savez(tmp_path / "b.npz", a=np.ones(3))
    (tmp_path / "c").write_bytes(b"")
    for name in ("a", "b.npz", "c"):
        with pytest.raises(ValueError, match="is damaged, or is none"):
            skbp.load(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        skbp.load(tmp_path / "d")


def test_arrays_are_stored_once_and_aligned(path):
    net = classifier().fit(ROWS, LABELS)
    skbp.save(net, path)
    with zipfile.ZipFile(path) as archive:
        content = json.loads(archive.read("model.json"))
        names = [name for name in archive.namelist() if name.endswith(".npy")]
        assert len(names) == len(content["arrays"]) == 3  # classes, parameters, (no) state
        whole = path.read_bytes()
        assert whole.index(net._network.params.tobytes()) % 64 == 0
    assert content["format"] == "skbp model"
