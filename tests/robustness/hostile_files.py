"""The hostile files themselves; see `hostile`."""

import io
import json
import os
import struct
import zipfile

import numpy as np

from robustness.forge import MODEL, description, first, npy, overlapping, places, stored
from robustness.hostile import case, several

# ------------------------------------------------------------ the archive


@case()
def _overlapping_entries(content, arrays, path):
    members = [(f"a{i}.npy", lambda rest: npy(np.frombuffer(rest, np.uint8))) for i in range(300)]
    text = json.dumps(content).encode()
    path.write_bytes(overlapping([*members, (MODEL, lambda rest: text)]))


@case()
def _compression_bomb(content, arrays, path):
    arrays["bomb"] = np.zeros(10**8)
    return {"compression": zipfile.ZIP_DEFLATED}


@case()
def _duplicate_member(content, arrays, path):
    return {"members": [(f"{next(iter(arrays))}.npy", npy(np.zeros(3)))]}


@case()
def _duplicate_json_member(content, arrays, path):
    return {"members": [(MODEL, json.dumps(content).encode())]}


@case()
def _more_members_than_described(content, arrays, path):
    return {"members": [("more.npy", npy(np.zeros(3)))]}


@case()
def _a_member_that_is_no_array(content, arrays, path):
    return {"members": [("run.py", b"import os; os.system('true')")]}


@case()
def _missing_member(content, arrays, path):
    arrays.pop(next(iter(arrays)))


@case()
def _fewer_members_than_described(content, arrays, path):
    content["arrays"] = {"lost": description(np.zeros(3))}
    return {}


def _renamed(content, arrays, name):
    old = next(one for one in arrays if "params" in one)
    arrays[name] = arrays.pop(old)
    for one in places(content):
        if isinstance(one, dict) and one.get("$array") == old:
            one["$array"] = name


several(
    {
        "../": "../../evil", "absolute": "/nowhere/evil", "drive": "C:\\evil", "empty": "",
        "NUL": "a\0b", "line break": "a\nb", "very long": "a" * 5000,
    },
    "net", _renamed, "name of a member",
)  # fmt: skip


@case(loads=True)
def _names_that_differ_in_case(content, arrays, path):
    _renamed(content, arrays, "A")
    arrays["a"] = np.ones(3)
    return {}


def _with_header(content, arrays, changes):
    name = next(one for one in arrays if "params" in one)
    true = arrays[name]
    header = {key: value for key, value in changes.items() if key in ("shape", "descr")}
    content["arrays"] = {name: description(true) | changes.get("told", {})}
    arrays[name] = npy(true, **header)


several(
    {
        "1e10": {"shape": (10**10,), "told": {"shape": [10**10]}},
        "1e10, another told": {"shape": (10**10,)},
        "2**62 times 4": {"shape": (2**62, 4), "told": {"shape": [2**62, 4]}},
        "negative": {"shape": (-5,), "told": {"shape": [-5]}},
        "two negative": {"shape": (-3, -7), "told": {"shape": [-3, -7]}},
        "too small": {"shape": (3,), "told": {"shape": [3]}},
        "other than told": {"told": {"shape": [7, 3]}},
        "told as text": {"told": {"shape": "21"}},
        "70 axes": {"shape": (1,) * 69 + (21,), "told": {"shape": [1] * 69 + [21]}},
    },
    "net", _with_header, "shape of an array",
)  # fmt: skip
several(
    {
        "object": {"descr": "|O", "told": {"dtype": "|O"}},
        "structured": {"descr": [("a", "<f8")], "told": {"dtype": "|V8"}},
        "void": {"descr": "|V8", "told": {"dtype": "|V8"}},
        "of no size": {"descr": "<U0", "told": {"dtype": "<U0"}},
        "code": {"descr": "__import__('os').system('true')"},
        "nested": {"descr": "(" * 3000},
    },
    "net", _with_header, "dtype of an array",
)  # fmt: skip


@case()
def _wrong_hash(content, arrays, path):
    name = next(one for one in arrays if "params" in one)
    content["arrays"] = {name: description(arrays[name], sha256="0" * 64)}
    return {}


@case()
def _pickle_as_a_member(content, arrays, path):
    name = next(one for one in arrays if "params" in one)
    arrays[name] = b"\x80\x04cos\nsystem\n(X\x04\x00\x00\x00truetR."


def _json(text):
    def change(content, arrays, path):
        return {"text": text(content) if callable(text) else text}

    return change


for _name, _text in {
    "nested 100,000 deep": b"[" * 100_000 + b"]" * 100_000,
    "model nested 100,000 deep": lambda content: (
        json.dumps(content | {"arrays": {}, "model": 0})
        .replace('"model": 0', '"model": ' + "[" * 100_000 + "]" * 100_000)
        .encode()
    ),
    "a number of 100,000 digits": b'{"format": "skbp model", "version": ' + b"1" * 100_000 + b"}",
    "infinite": lambda content: json.dumps(content | {"version": 1e999}).encode(),
    "1e400": lambda content: json.dumps(content | {"version": 7}).replace("7", "1e400").encode(),
    "keys twice": lambda content: (json.dumps(content)[:-1] + ', "version": 1}').encode(),
    "no dict": b"[1, 2]",
    "empty": b"",
    "not UTF-8": b"\xff\xfe\xfa",
    "a text": b'"skbp model"',
    "version 999": lambda content: json.dumps(content | {"version": 999}).encode(),
    "version -1": lambda content: json.dumps(content | {"version": -1}).encode(),
    "version a list": lambda content: json.dumps(content | {"version": [1]}).encode(),
    "another format": lambda content: json.dumps(content | {"format": "skbp checkpoint"}).encode(),
    "without a model": lambda content: json.dumps(
        {key: value for key, value in content.items() if key != "model"}
    ).encode(),
}.items():
    case()(_json(_text).__class__(_json(_text).__code__, _json(_text).__globals__,
                                  f"JSON, {_name}", None, _json(_text).__closure__))  # fmt: skip

# ------------------------------------------------------------ what is no archive


def _write(content):
    return lambda given, arrays, path: path.write_bytes(content) and None


@case()
def _an_empty_file(content, arrays, path):
    path.write_bytes(b"")


@case()
def _a_pickle(content, arrays, path):
    path.write_bytes(b"\x80\x04cos\nsystem\n(X\x04\x00\x00\x00truetR.")


@case()
def _a_symlink_to_nowhere(content, arrays, path):
    path.symlink_to(path.with_name("nowhere"))


@case()
def _a_symlink_to_itself(content, arrays, path):
    path.symlink_to(path)


@case()
def _a_pipe(content, arrays, path):
    os.mkfifo(path)


@case()
def _a_device(content, arrays, path):
    path.symlink_to("/dev/zero")


@case()
def _a_folder(content, arrays, path):
    path.mkdir()


@case()
def _3_GB_of_zeros(content, arrays, path):
    with open(path, "wb") as file:
        file.truncate(3 * 10**9)


def _sparse(path, directory):
    """Write 3 GB that end as an archive does, with a list of members of so many bytes."""
    with open(path, "wb") as file:
        file.truncate(3 * 10**9)
        file.seek(0, 2)
        start = 3 * 10**9 - directory
        file.write(struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, directory, start, 0))


@case()
def _3_GB_list_of_members(content, arrays, path):
    _sparse(path, 29 * 10**8)


@case()
def _3_GB_of_JSON(content, arrays, path):
    size, name = 29 * 10**8, MODEL.encode()
    local, entry, _ = stored(MODEL, b"")
    sizes = struct.pack("<3I", 0, size, size)
    local = local[:14] + sizes + local[26:]
    entry = entry[:16] + sizes + entry[28:] + struct.pack("<I", 0) + name
    with open(path, "wb") as file:
        file.write(local)
        file.truncate(len(local) + size)
        file.seek(0, 2)
        end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(entry), len(local) + size, 0)
        file.write(entry + end)


@case()
def _a_checkpoint(content, arrays, path):
    _checkpoint(path)


def _checkpoint(path, **changes):
    from skbp._engine.checkpoint import TrainingState, write_state

    state = {"params": np.zeros(3), "state": np.zeros(0), "history": {}, "rng_state": {}}
    write_state(path, TrainingState(**state | changes))


@case()
def checkpoint_that_is_a_model(content, arrays, path):
    return {}


@case()
def checkpoint_nested_deep(content, arrays, path):
    deep = "[" * 100_000 + "]" * 100_000
    text = '{"format": "skbp checkpoint", "version": 1, "epoch": %s, "state": {}, "arrays": {}}'
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("state.json", text % deep)


@case()
def checkpoint_with_more_parts(content, arrays, path):
    text = '{"format": "skbp checkpoint", "version": 1, "epoch": null, "state": {"more": 1}, '
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("state.json", text + '"arrays": {}}')


@case()
def checkpoint_with_kinds(content, arrays, path):
    text = (
        '{"format": "skbp checkpoint", "version": 1, "epoch": {"$kind": "Dense", "with": {"units": '
        '2}}, "state": {"params": 1, "state": 1, "history": 1, "rng_state": 1}, "arrays": {}}'
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("state.json", text)


# ------------------------------------------------------------ what is said of objects


def _model(new):
    def change(content, arrays, path):
        content["model"] = new
        return {}

    return change


several(
    {
        "a layer": {"$kind": "Dense", "with": {"units": 3}},
        "a loss": {"$kind": "SquaredError", "with": {}},
        "a number": 3, "a list": [], "a text": "BackpropClassifier", "null": None,
        "unknown": {"$kind": "Evil", "with": {}},
        "a module": {"$kind": "os.system", "with": {}},
        "a path": {"$kind": "../Dense", "with": {}},
        "unknown word": {"$import": "os"}, "as it is": {"$as_is": 1},
        "no name": {"$kind": 3, "with": {}}, "no parts": {"$kind": "Dense"},
        "parts that are a list": {"$kind": "Dense", "with": []},
        "base class": {"$kind": "BaseBackprop", "with": {}},
        "same, out of range": {"$same": 10**9}, "same, negative": {"$same": -1},
        "same, true": {"$same": True}, "same, itself": {"$kind": "Dense", "with": {"units":
                                                                                    {"$same": 0}}},
        "deep tuples": None,
    },
    "net", lambda content, arrays, value: content.update(model=value), "model",
)  # fmt: skip


def _doubling(kind):
    def change(content, arrays, path):
        made = [{"$kind": "Dense", "with": {"units": 4}}]
        for number in range(60):
            same = {"$same": number}
            with_ = {"layers": [same, same]} if kind == "Residual" else {"schedule": same}
            made.append({"$kind": kind, "with": with_})
        first(content, "BackpropClassifier")["layers"] = made
        return {}

    return change


@case()
def _60_layers_each_twice_in_the_next(content, arrays, path):
    return _doubling("Residual")(content, arrays, path)


@case()
def _one_array_in_100_000_places(content, arrays, path):
    arrays["big"] = np.zeros(10**6)
    first(content, "BackpropClassifier")["tol"] = [{"$array": "big"}] * 100_000
    return {}


@case(loads=True)
def _one_array_in_2_000_networks(content, arrays, path):
    network = places(content, "Network")[0]
    first(content, "BackpropClassifier")["tol"] = [network] * 2_000
    return {}


def _attribute(content, arrays, given):
    name, value = given
    first(content, content["model"]["$kind"])[name] = value


several(
    {
        name: (name, "x")
        for name in ("predict", "__class__", "__dict__", "_parts", "__reduce__", "fit", "a b", "",
                     "_parameter_constraints", "_of_parts", "coefs_")
    }
    | {
        "_diagnoses": ("_diagnoses", False), "feature_names_in_": ("feature_names_in_", [1, 2]),
        "n_features_in_, 2": ("n_features_in_", 2),
        "n_features_in_, 1e9": ("n_features_in_", 10**9),
        "n_features_in_, -1": ("n_features_in_", -1), "n_outputs_": ("n_outputs_", 7),
        "dtype_": ("dtype_", {"$dtype": "<f4"}), "no network": ("_network", None),
        "a layer as network": ("_network", {"$kind": "Dense", "with": {"units": 1}}),
        "a layer as loss": ("_loss", {"$kind": "Dense", "with": {"units": 1}}),
        "another loss": ("_loss", {"$kind": "SquaredError", "with": {}}),
        "another loss of more outputs": ("_loss", {"$kind": "GaussianNLL", "with": {}}),
        "input dtype of texts": ("_input_dtype", {"$dtype": "<U3"}),
        "no targets": ("_targets", None),
        "targets that are a layer": ("_targets", {"$kind": "Dense", "with": {"units": 1}}),
    },
    "net", _attribute, "attribute",
)  # fmt: skip


def _part(kind):
    def change(content, arrays, given):
        first(content, kind)[given[0]] = given[1]

    return change


DENSE = {"$kind": "Dense", "with": {"units": 4}}
several(
    {
        "1e12 units": ("layers", [{"$kind": "Dense", "with": {"units": 10**12}}] * 2),
        "-1 units": ("layers", [{"$kind": "Dense", "with": {"units": -1}}]),
        "1e30 units": ("layers", [{"$kind": "Dense", "with": {"units": 10**30}}]),
        "an unknown activation": (
            "layers", [{"$kind": "Dense", "with": {"units": 4, "activation": "evil"}}]),
        "an estimator": (
            "layers", [{"$kind": "BackpropClassifier", "with": {}}, DENSE]),
        "a loss": ("layers", [DENSE, {"$kind": "SquaredError", "with": {}}]),
        "an optimizer": ("layers", [{"$kind": "Adam", "with": {}}]),
        "texts": ("layers", ["Dense"]), "none": ("layers", []), "no list": ("layers", DENSE),
        "an unknown parameter": ("layers", [{"$kind": "Dense", "with": {"evil": 1}}]),
        "a name of code": ("layers", [{"$kind": "Dense", "with": {"units": 1, "name": "__x__"}}]),
        "1e9 members": ("layers", [{"$kind": "MemberDense", "with": {"n_members": 10**9,
                                                                     "units": 10**9}}]),
        "widths of 1e12": ("layers", [{"$kind": "CategoryEmbedding", "with": {
            "cardinalities": [2, 3], "units": [1, 10**12]}}]),
        "an input of 1e9": ("input_shape", {"$tuple": [10**9]}),
        "an input of 1e30": ("input_shape", {"$tuple": [10**30]}),
        "an input of 0": ("input_shape", {"$tuple": [0]}),
        "an input of true": ("input_shape", {"$tuple": [True]}),
        "an input that is a list": ("input_shape", [3]),
        "frozen out of range": ("frozen", [10**6]), "frozen negative": ("frozen", [-1]),
        "frozen texts": ("frozen", ["a"]), "frozen none": ("frozen", None),
        "no state": ("state", None), "parameters that are a list": ("params", [1.0, 2.0]),
    },
    "net", _part("Network"), "network",
)  # fmt: skip
several(
    {
        "1e9 steps": ("input_shape", {"$tuple": [10**9]}),
        "1e9 codes": ("layers", [{"$kind": "Embedding", "with": {"n_codes": 10**9, "dim": 4}}]),
        "fewer codes": ("layers", [{"$kind": "Embedding", "with": {"n_codes": 2, "dim": 4}}]),
    },
    "positions", _part("Network"), "network with positions",
)  # fmt: skip
several(
    {"steps": ("name", 3), "skipped": ("skipped", [1, 2]), "steps negative": ("steps", -5),
     "arrays a list": ("arrays", [1]), "average a text": ("average", "x"),
     "skipped beyond": ("skipped", [10**9] * 4)},
    "net", _part("OptimizerMemory"), "optimizer's memory",
)  # fmt: skip
several(
    {"n_iter": ("n_iter", -1), "samples": ("samples", "x"), "records": ("records", {}),
     "loss_curve": ("loss_curve", [None]), "optimizer": ("optimizer", None)},
    "net", _part("History"), "history",
)  # fmt: skip


def _array(content, arrays, given):
    pattern, function = given
    fitting = [one for one in arrays if one.endswith(pattern)]
    name = (fitting or [one for one in arrays if pattern in one])[0]
    arrays[name] = np.asarray(function(arrays[name]))


several(
    {
        "NaN": ("params", lambda a: a * np.nan), "infinite": ("params", lambda a: a + np.inf),
        "one more": ("params", lambda a: np.append(a, 0)), "one less": ("params", lambda a: a[1:]),
        "none": ("params", lambda a: a[:0]), "two axes": ("params", lambda a: a[None]),
        "float32": ("params", lambda a: a.astype("f4")), "float16": ("params",
                                                                     lambda a: a.astype("f2")),
        "big-endian": ("params", lambda a: a.astype(">f8")), "complex": ("params",
                                                                         lambda a: a + 0j),
        "whole": ("params", lambda a: a.astype(int)), "texts": ("params", lambda a: a.astype(str)),
        "state of more": ("state", lambda a: np.zeros(5)),
        "memory of one less": ("arrays.m", lambda a: a[1:]), "memory of none":
        ("arrays.m", lambda a: a[:0]), "memory of whole": ("arrays.m", lambda a: a.astype(int)),
        "memory of float32": ("arrays.m", lambda a: a.astype("f4")),
        "memory scalar": ("arrays.m", lambda a: a[0]),
    },
    "net", _array, "arrays",
)  # fmt: skip


@case(loads=True)
def _memory_of_another_optimizer(content, arrays, path):
    first(content, "OptimizerMemory")["name"] = "SGD"
    name = next(one for one in arrays if "arrays.m" in one)
    arrays[name] = arrays[name][:1]
    return {}


def _objects(*items):
    return {"$objects": list(items), "shape": [len(items)]}


several(
    {
        "three": _objects("a", "b", "c"), "one": _objects("a"), "none": _objects(),
        "a list": ["no", "yes"], "two axes": {"$objects": ["a", "b"], "shape": [1, 2]},
        "shape that does not fit": {"$objects": ["a", "b"], "shape": [10**10]},
        "negative shape": {"$objects": ["a", "b"], "shape": [-1, -2]},
    },
    "net", lambda content, arrays, value: first(content, "ClassTargets").update(classes=value),
    "classes",
)  # fmt: skip
several(
    {"multiclass": "multiclass", "multilabel": "multilabel", "numbers": "numbers", "none": None},
    "net", lambda content, arrays, value: first(content, "ClassTargets").update(kind=value), "kind",
)  # fmt: skip


def _stream(content, arrays, given):
    state = {"bit_generator": "MT19937", "state": {"key": {"$array": "key"}, "pos": given},
             "has_gauss": 0, "gauss": 0.0}  # fmt: skip
    arrays["key"] = np.arange(624, dtype=np.uint32)
    first(content, content["model"]["$kind"])["random_state"] = {"$random_state": state}


several({"10**9": 10**9, "-1": -1, "625": 625, "a text": "x"}, "net", _stream, "random state, pos")


@case()
def _random_state_of_few_words(content, arrays, path):
    _stream(content, arrays, 3)
    arrays["key"] = arrays["key"][:5]
    return {}


def _sparse_matrix(content, arrays, given):
    data, indices, indptr, shape = given
    arrays |= {"d": np.asarray(data, float), "i": np.asarray(indices, np.int32),
               "p": np.asarray(indptr, np.int32)}  # fmt: skip
    first(content, "NearestExamples")["vectors_"] = {
        "$sparse": "csr_matrix", "shape": shape,
        "arrays": [{"$array": "d"}, {"$array": "i"}, {"$array": "p"}],
    }  # fmt: skip


several(
    {
        "index out of range": ([1.0], [10**9], [0, 1], [1, 3]),
        "negative index": ([1.0], [-5], [0, 1], [1, 3]),
        "indptr that decreases": ([1.0, 1.0], [0, 1], [0, 2, 1], [2, 3]),
        "indptr beyond": ([1.0], [0], [0, 10**9], [1, 3]),
        "other rows": ([1.0], [0], [0, 1], [1, 3]),
        "shape negative": ([1.0], [0], [0, 1], [-1, 3]),
        "shape of 1e18": ([1.0], [0], [0, 1], [10**18, 3]),
    },
    "nearest", _sparse_matrix, "sparse matrix",
)  # fmt: skip
several(
    {
        "history's items": ("items", lambda a: a + 10**6), "negative": ("items", lambda a: a - 9),
        "beginnings": ("starts", lambda a: a * 7), "backwards": ("starts", lambda a: a[::-1]),
        "few": ("starts", lambda a: a[:3]), "floats": ("items", lambda a: a.astype(float)),
        "vectors": ("item_vectors_", lambda a: a[:3]), "bias": ("item_bias_", lambda a: a[:3]),
        "weights": ("_user_weight", lambda a: a[:3]), "ids": ("items_", lambda a: a[:3]),
    },
    "towers", _array, "recommender",
)  # fmt: skip
several(
    {"codes": ("_codes", lambda a: a + 9), "codes negative": ("_codes", lambda a: a - 9),
     "labels": ("labels_", lambda a: a[:3])},
    "nearest", _array, "nearest examples",
)  # fmt: skip
several(
    {"quantiles": ("quantiles", lambda a: a[::-1]), "shares": ("shares", lambda a: a[:2]),
     "none": ("quantiles", lambda a: a[:0])},
    "quantiles", _array, "scales",
)  # fmt: skip
several(
    {"scores not sorted": ("by_group", lambda a: a[::-1]),
     "NaN": ("by_group", lambda a: a * np.nan),
     "texts": ("by_group", lambda a: a.astype(str))},
    "conformal", _array, "calibration",
)  # fmt: skip
several(
    {"places": ("_places", {"$dict": [[0, [10**9]]]}), "no places": ("_places", {"$dict": []}),
     "places a list": ("_places", [0]), "sources": ("_sources", []),
     "n_numeric_": ("n_numeric_", 10**9), "cardinalities_": ("cardinalities_", [3, 3, 3]),
     "encoders": ("_encoders", {"$dict": [[0, DENSE]]})},
    "table", _part("TableEncoder"), "table encoder",
)  # fmt: skip
several(
    {"codes": ("_code", {"a": 10**9}), "negative": ("_code", {"a": -5}), "texts": ("_code",
                                                                                 {"a": "b"}),
     "values": ("values", []), "no list": ("values", 3)},
    "codes of columns", _part("Coder"), "codes of a column",
)  # fmt: skip
several(
    {"offsets": ("_offsets", []), "estimators": ("estimators_", []),
     "layers": ("estimators_", [DENSE]), "calibration": ("_calibration", None)},
    "conformal", _part("ConformalClassifier"), "conformal",
)  # fmt: skip
several(
    {"unit 0": ("unit", 0), "sum": ("sum", -5), "height": ("height", "x"), "share": ("share", [])},
    "surge", _part("_Chart"), "surge",
)  # fmt: skip
several(
    {"criterion a layer": ("_criterion", DENSE), "no classifier": ("classifier", None),
     "criterion without neighbors": ("_criterion", "nearest")},
    "reject", _part("Judge"), "reject option",
)  # fmt: skip
several(
    {"ids": ("_number", {"a": 10**9}), "twice": ("_number", {"a": 0, "b": 0})},
    "ratings", _part("Ids"), "ratings",
)  # fmt: skip
several(
    {"n_symbols_": ("n_symbols_", 10**9), "counts": ("_start_counts", {"$tuple": []})},
    "symbols", _part("BackpropSequenceModel"), "sequence model",
)  # fmt: skip
several(
    {"index": ("_index", 10**9), "names": ("layer_names_", 3), "no network": ("estimator_", DENSE)},
    "features", _part("HiddenFeatures"), "hidden features",
)  # fmt: skip
several(
    {"no JSON": ("_described", "{"), "deep": ("_described", "[" * 10**5),
     "a model unknown": ("_described", '{"model": {"type": "Evil"}}'),
     "marks": ("end", 10**9), "fewer codes": ("n_codes", 3)},
    "text", _part("Vocabulary"), "tokenizer",
)  # fmt: skip
several(
    {"calendars": ("_calendars", [DENSE]), "none": ("_calendars", []), "zoned": ("_zoned", 3)},
    "dates", _part("DateParts"), "dates",
)  # fmt: skip

# ------------------------------------------------------------ scikit-learn's parts


def _container(content, arrays, given):
    name, more = given
    content["model"]["$sklearn"] = name or content["model"]["$sklearn"]
    content["model"]["with"] |= more


several(
    {
        "a function transformer": ("FunctionTransformer", {}), "a function": ("check_array", {}),
        "a module": ("os", {}), "dunder": ("__class__", {}),
        "hides predict": (None, {"predict": 3}),
        "hides steps": (None, {"named_steps": 3}), "a cache": (None, {"memory": "/nowhere/evil"}),
        "hides what is checked": (None, {"_parameter_constraints": {}}),
        "callbacks": (None, {"__class__": 3}),
    },
    "pipeline", _container, "container",
)  # fmt: skip


def _inside(content, arrays, change):
    name = next(one for one in arrays if one.endswith(".skops"))
    with zipfile.ZipFile(io.BytesIO(arrays[name].tobytes())) as archive:
        members = {one: archive.read(one) for one in archive.namelist()}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", change(members) or zipfile.ZIP_STORED) as archive:
        for one, text in members.items():
            archive.writestr(one, text)
    arrays[name] = np.frombuffer(file.getvalue(), np.uint8)


def _schema(**changes):
    def change(members):
        members["schema.json"] = json.dumps(json.loads(members["schema.json"]) | changes).encode()

    return change


def _bomb(members):
    members["a.npy"] = bytes(10**8)
    return zipfile.ZIP_DEFLATED


def _bomb_inside(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.npy", bytes(10**9))
    members["a.npz"] = file.getvalue()


def _huge(members):
    name = next(one for one in members if one.endswith(".npy"))
    members[name] = npy(np.zeros(3), shape=(10**10,))


several(
    {
        "os.system": _schema(__class__="system", __module__="os", __loader__="FunctionNode"),
        "subprocess": _schema(__class__="Popen", __module__="subprocess", __loader__="ObjectNode"),
        "a type": _schema(__class__="MLPClassifier", __module__="evil", __loader__="ObjectNode"),
        "a bomb": _bomb, "a bomb inside": _bomb_inside, "an array of 1e10": _huge,
        "no schema": lambda members: members.pop("schema.json") and None,
        "nested": lambda members: members.update({"schema.json": b"[" * 10**5}) and None,
    },
    "pipeline", _inside, "skops",
)  # fmt: skip
