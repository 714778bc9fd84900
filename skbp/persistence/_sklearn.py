"""scikit-learn's parts of what is saved: estimators around skbp's, and all others by skops."""

import io
import zipfile
from functools import cache
from importlib import import_module
from inspect import Parameter, isfunction, signature

import numpy as np
import sklearn
from sklearn import metrics, model_selection
from sklearn.base import BaseEstimator
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.model_selection import BaseCrossValidator, BaseShuffleSplit
from sklearn.utils import Bunch

from skbp._archive import check_members, read_header
from skbp._optional import library
from skbp._plain import Unpacker, check_attribute
from skbp._warnings import warn

#: Estimators of scikit-learn's that may have skbp's in them, and where they are.
CONTAINERS = {
    "BaggingClassifier": "ensemble", "BaggingRegressor": "ensemble",
    "CalibratedClassifierCV": "calibration", "ClassifierChain": "multioutput",
    "ColumnTransformer": "compose", "FeatureUnion": "pipeline", "FixedThresholdClassifier":
    "model_selection", "FrozenEstimator": "frozen", "GridSearchCV": "model_selection",
    "HalvingGridSearchCV": "model_selection", "HalvingRandomSearchCV": "model_selection",
    "MultiOutputClassifier": "multioutput", "MultiOutputRegressor": "multioutput",
    "OneVsOneClassifier": "multiclass", "OneVsRestClassifier": "multiclass",
    "OutputCodeClassifier": "multiclass", "Pipeline": "pipeline", "RandomizedSearchCV":
    "model_selection", "RegressorChain": "multioutput", "RFE": "feature_selection", "RFECV":
    "feature_selection", "SelectFromModel": "feature_selection", "SelfTrainingClassifier":
    "semi_supervised", "SequentialFeatureSelector": "feature_selection", "StackingClassifier":
    "ensemble", "StackingRegressor": "ensemble", "TransformedTargetRegressor": "compose",
    "TunedThresholdClassifierCV": "model_selection", "VotingClassifier": "ensemble",
    "VotingRegressor": "ensemble", "_CalibratedClassifier": "calibration",
    "_PassthroughScorer": "metrics._scorer",
    "_SigmoidCalibration": "calibration", "_TemperatureScaling": "calibration",
}  # fmt: skip
#: What is compressed inside may have so many bytes, or so many times its own.
MOST_INFLATED, MOST_INFLATED_TIMES = 2**26, 20
#: What skops does not know to be safe, and is: it holds data, and computes with them.
SAFE = [
    "numpy.dtype", "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.metrics._scorer._Scorer", "sklearn.metrics._scorer._CurveScorer",
    "sklearn.multiclass._ConstantPredictor", "sklearn.utils._metadata_requests.MetadataRequest",
    "sklearn.utils._metadata_requests.MethodMetadataRequest",
]  # fmt: skip


def _container(name):
    """Return the class of a container."""
    if name not in CONTAINERS:
        raise ValueError(
            f"there is no estimator of scikit-learn named {name!r:.100} that it may hold"
        )
    if name.startswith("Halving"):
        import_module("sklearn.experimental.enable_halving_search_cv")
    return getattr(import_module(f"sklearn.{CONTAINERS[name]}"), name)


class Foreign:
    """Packs and unpacks what is scikit-learn's.

    Parameters
    ----------
    array : callable, optional
        To unpack from.
    components : dict of str to type, optional
        Kinds of a caller's own.

    Attributes
    ----------
    unpacker : Unpacker
        For the archive.
    """

    def __init__(self, array=None, components=None):
        self.words = {
            "$sklearn": self._unpack_container, "$skops": self._unpack_skops,
            "$bunch": lambda value: Bunch(**self.unpacker.unpack(value["$bunch"])),
        }  # fmt: skip
        self._read: set[str] = set()
        if array is not None:
            self._array = array
            self.unpacker: Unpacker = Unpacker(array, self.words, components)

    def pack(self, value, where, packer, arrays):
        """Return the plain form of an object, or raise a TypeError that says why there is none."""
        name = type(value).__name__
        if type(value) is Bunch:
            return {"$bunch": packer.pack(dict(value), where)}
        if type(value).__module__.startswith("sklearn.") and name in CONTAINERS:
            attributes = vars(value) | {"_sklearn_version": sklearn.__version__}
            return {"$sklearn": name, "with": packer.parts(attributes, where)}
        if not type(value).__module__.startswith(("sklearn.", "scipy.", "numpy")):
            told = "a function" if callable(value) and hasattr(value, "__name__") else f"a {name}"
            raise TypeError(
                f"{where} is {told} ({value!r:.100}), which no file can hold without naming code. "
                "Set it to something plain, or use joblib or pickle among those who trust you."
            )
        content = _by_skops(value, where)
        return {"$skops": arrays.add(np.frombuffer(content, np.uint8), f"{where}.skops")}

    def _unpack_container(self, value):
        cls, attributes = _container(value["$sklearn"]), self.unpacker.unpack(value["with"])
        original = attributes.pop("_sklearn_version", None)
        if original != sklearn.__version__:
            warn(
                InconsistentVersionWarning(
                    estimator_name=cls.__name__, current_sklearn_version=sklearn.__version__,
                    original_sklearn_version=original,
                )
            )  # fmt: skip
        made = cls.__new__(cls)
        for name, one in signature(cls.__init__).parameters.items():
            if one.default is not Parameter.empty:
                made.__dict__[name] = one.default
        for name, part in attributes.items():
            check_attribute(cls, name)
            made.__dict__[name] = part
        _refuse_caches(made)
        return made

    def _unpack_skops(self, value):
        name, skops = value["$skops"], library("skops.io", "save")
        if name in self._read:
            raise ValueError(f"{name} stands in two places")
        self._read.add(name)
        content = self._array(name).tobytes()
        _check_inside(content, name)
        made = skops.loads(content, trusted=_safe())
        _refuse_caches(made)
        return made


def _refuse_caches(made):
    """Raise a ValueError if an estimator has a folder as its cache: fit would unpickle from it."""
    own = made.get_params() if isinstance(made, BaseEstimator) else {}
    for name, value in own.items():
        if name.rpartition("__")[2] == "memory" and value is not None:
            raise ValueError(f"{type(made).__name__} has a {name} that is a cache: {value!r:.100}")


def _check_inside(content, name):
    """Raise a ValueError if what skops has written would take memory beyond its size."""
    with zipfile.ZipFile(io.BytesIO(content)) as inside:
        for member, info in check_members(inside, len(content)).items():
            if member.endswith(".npy"):
                with inside.open(info) as file:
                    read_header(file, info.file_size, f"{name}, {member}", records=True)
            elif member.endswith(".npz"):  # a sparse matrix, compressed
                with inside.open(info) as file, zipfile.ZipFile(file) as packed:
                    n_bytes = sum(one.file_size for one in packed.infolist())
                    if n_bytes > max(MOST_INFLATED, MOST_INFLATED_TIMES * info.file_size):
                        raise ValueError(f"{name}, {member} has {n_bytes:,} bytes unpacked")
                    for one in packed.infolist():
                        with packed.open(one) as file_inside:
                            read_header(file_inside, one.file_size, f"{name}, {one.filename}")


@cache
def _safe():
    """Return the names of what holds data only, or measures, beyond what skops knows."""
    public = (getattr(metrics, name) for name in metrics.__all__)
    splitters = (vars(model_selection).get(name) for name in model_selection.__all__)
    kinds = BaseCrossValidator | BaseShuffleSplit
    known: list = [one for one in public if isfunction(one)]
    known += [one for one in splitters if isinstance(one, type) and issubclass(one, kinds)]
    return [*SAFE, *(f"{one.__module__}.{one.__name__}" for one in known)]


def _by_skops(value, where):
    """Return an object as skops writes it; raise a TypeError if skops does not know it as safe."""
    skops = library("skops.io", "save")
    try:
        content = skops.dumps(value)
        unknown = set(skops.get_untrusted_types(data=content)) - set(_safe())
    except Exception as error:  # it raises many kinds for what it cannot write
        raise TypeError(f"{where} cannot be written by skops: {error}") from error
    if unknown:
        raise TypeError(
            f"{where}, a {type(value).__name__}, has parts that skops does not know to be safe: "
            f"{sorted(unknown)}. Leave them out, or use joblib or pickle among those who trust you."
        )
    return content
