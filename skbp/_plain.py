"""Objects as plain values: what files and pickles hold of them.

A plain value is None, a bool, a number, a string, or a list or dict of these; arrays stand beside
them. All else is a dict with one key that begins with "$": ``{"$tuple": [...]}``, ``{"$float":
"nan"}``, ``{"$kind": "Dense", "with": {...}}``. An object is its kind's name and its parts; the
kinds are a closed list, `KINDS`. So nothing in a file names Python code.
"""

import base64
import datetime
import math
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import PurePath
from typing import Any

import numpy as np
from scipy import sparse

from skbp._forms import check_form

#: The objects that files may name: name to class.
KINDS: dict[str, type] = {}
#: Rooms with kinds of their own that may not have been imported yet.
ROOMS = (
    "callbacks", "estimators", "inspection", "model_selection", "preprocessing", "recommendation",
    "tabular", "text", "uncertainty",
)  # fmt: skip
#: How many times the objects of a file may be met, those met again counted each time.
MOST_SEEN = 100
#: Dtypes of arrays: bool, numbers, texts, bytes, moments, durations.
PLAIN_DTYPES = "biufcUSmM"
#: Types of numbers, which are values of parameters named dtype.
NUMBER_TYPES = {"float32": np.float32, "float64": np.float64}
#: Values that have a text of their own.
TIMES: dict[str, Any] = {
    "$datetime": datetime.datetime, "$date": datetime.date, "$time": datetime.time,
}  # fmt: skip


def kept(cls=None, *, name=None):
    """Decorate a class of skbp whose objects files may hold; `name` if another has its name.

    What a file has of an object is ``vars``, or the fields of a dataclass or named tuple. A class
    says otherwise in `_parts`, and in the classmethod `_of_parts` how it is made of them again. Its
    `_form` says what each part may be, `_optional` which may be missing, and `_check_parts` raises
    a ValueError unless those of an object out of a file go together.
    """
    if cls is None:
        return lambda one: kept(one, name=name)
    if cls.__module__.partition(".")[0] == "skbp":
        name = name or cls.__name__
        if KINDS.setdefault(name, cls) is not cls:
            raise TypeError(f"there are two kinds named {name!r}: {KINDS[name]} and {cls}")
    return cls


def name_of(cls):
    """Return the name of a kind, or None if the class is none."""
    name = cls.__name__
    if KINDS.get(name) is cls:
        return name
    return next((name for name, kind in KINDS.items() if kind is cls), None)


def kind_named(name, more=()):
    """Return the class of a kind; `more` is a dict of the caller's own."""
    if name in more:
        return more[name]
    if name not in KINDS:
        for room in ROOMS:
            import_module(f"skbp.{room}")
    if name not in KINDS:
        raise ValueError(f"there is no kind of object named {name!r} in this skbp")
    return KINDS[name]


def parts_of(value):
    """Return the parts of an object, by name."""
    if hasattr(value, "_parts"):
        return value._parts()
    if hasattr(value, "_asdict"):
        return value._asdict()
    if is_dataclass(value):
        return {one.name: getattr(value, one.name) for one in fields(value)}
    return dict(vars(value))


def of_parts(cls, parts, trusted=False):
    """Return an object of a kind, made of its parts.

    Raises
    ------
    ValueError
        If it has no such parts, or they do not go together. Parts that are `trusted`, those of a
        pickle, are taken as they are: an estimator may hold what only `fit` refuses.
    """
    if trusted:
        return trusted_parts(cls, parts)
    if hasattr(cls, "_of_parts"):
        return cls._of_parts(parts)
    form = getattr(cls, "_form", {})
    check_form(cls, parts, form)
    if hasattr(cls, "_fields") or is_dataclass(cls):
        names = getattr(cls, "_fields", None) or [one.name for one in fields(cls)]
        check_names(cls, parts, names)
        return cls(**parts)
    optional = getattr(cls, "_optional", ())
    check_names(cls, parts, form)
    missing = [name for name in form if name not in parts and name not in optional]
    if missing:
        raise ValueError(f"a {cls.__name__} lacks its {missing}")
    made = object.__new__(cls)
    made.__dict__.update(parts)
    return made


def trusted_parts(cls, parts):
    """Return an object of a kind, made of parts as they are."""
    if hasattr(cls, "_of_trusted"):
        return cls._of_trusted(parts)
    if hasattr(cls, "_fields") or is_dataclass(cls):
        return cls(**parts)
    made = cls.__new__(cls)
    made.__dict__.update(parts)
    return made


def check_names(cls, parts, names):
    """Raise a ValueError unless all parts are among the names."""
    unknown = [name for name in parts if name not in names]
    if unknown:
        raise ValueError(f"a {cls.__name__} has no {unknown}; it has {list(names)}")


def check_attribute(cls, name):
    """Raise a ValueError if an attribute of that name would hide what the class does."""
    if not name.isidentifier() or name.startswith("__") or hasattr(cls, name):
        raise ValueError(f"a {cls.__name__} has no attribute {name!r} that a file may set")


class Packer:
    """Turns objects into plain values, and collects their arrays.

    Parameters
    ----------
    array : callable
        Takes an array and the place where it was found; returns what stands for it.
    other : callable
        Takes what is not plain, and its place; returns what stands for it, or raises.
    blank : tuple of type, default=()
        Objects of these kinds are packed as new ones.
    without : dict of str to callable, default={}
        Attributes that are left out, if what is called with their value says so.
    lenient : bool, default=False
        Whether objects of kinds that have no plain form (they are part of themselves, or have more
        than their parameters) are not plain either, instead of errors.

    Attributes
    ----------
    left_out : set of str
        Those that were.
    """

    def __init__(self, array, other, blank=(), without=None, lenient=False):
        self._array, self._other, self._blank = array, other, blank
        self._lenient = lenient
        self._without = without or {}
        self.left_out: set[str] = set()
        self._numbers: dict[int, int] = {}
        self._alive: list = []
        self._n_done = 0

    def pack(self, value, where):
        """Return the plain form of a value found at some place."""
        if value is None or type(value) in (bool, int, str):
            return value
        if type(value) is float:
            return value if math.isfinite(value) else {"$float": repr(value)}
        simple = self._SIMPLE.get(type(value))
        return self._of_kind(value, where) if simple is None else simple(self, value, where)

    def parts(self, parts, where):
        """Return the plain form of an object's parts."""
        out = {name for name, leaves in self._without.items() if leaves(parts.get(name))}
        out &= parts.keys()
        self.left_out |= out
        return self._dict({name: parts[name] for name in parts if name not in out}, where)

    def _list(self, value, where):
        return [self.pack(item, f"{where}[{i}]") for i, item in enumerate(value)]

    def _tuple(self, value, where):
        return {"$tuple": self._list(value, where)}

    def _set(self, value, where):
        return {"$set": self._list(sorted(value, key=repr), where)}

    def _frozenset(self, value, where):
        return {"$frozenset": self._list(sorted(value, key=repr), where)}

    def _dict(self, value, where):
        if all(type(key) is str and key[:1] != "$" for key in value):
            return {key: self.pack(item, f"{where}.{key}") for key, item in value.items()}
        pairs = [
            [self.pack(key, f"{where}, a key"), self.pack(item, f"{where}[{key!r}]")]
            for key, item in value.items()
        ]
        return {"$dict": pairs}

    def _ndarray(self, value, where):
        if value.dtype.kind in PLAIN_DTYPES and value.dtype.names is None:
            return {"$array": self._array(value, where)}
        if value.dtype.kind != "O":
            return self._other(value, where)
        items = self._list(value.ravel().tolist(), where)
        return {"$objects": items, "shape": list(value.shape)}

    def _masked(self, value, where):
        parts = np.ma.getdata(value), np.ma.getmaskarray(value)
        fill = np.asarray(value.fill_value, dtype=value.dtype)
        return {"$masked": [self.pack(part, where) for part in (*parts, fill)]}

    def _sparse(self, value, where):
        parts = value.data, value.indices, value.indptr
        packed = [self.pack(part, where) for part in parts]
        return {"$sparse": type(value).__name__, "shape": list(value.shape), "arrays": packed}

    def _stream(self, value, where):
        state = value.get_state(legacy=False)
        if self._lenient or state["bit_generator"] != "MT19937":
            return self._other(value, where)  # in a pickle: others may draw from it too
        if id(value) in self._numbers:
            return {"$same": self._numbers[id(value)]}
        return self._numbered(value, {"$random_state": self.pack(state, where)})

    def _dtype(self, value, where):
        return {"$dtype": value.str} if value.kind in PLAIN_DTYPES else self._other(value, where)

    def _scalar(self, value, where):
        if value.dtype.kind not in PLAIN_DTYPES or not value.dtype.itemsize:
            return self._other(value, where)
        return {"$scalar": value.dtype.str} | self._bytes(value.tobytes(), where)

    def _bytes(self, value, where):
        return {"$bytes": base64.b64encode(value).decode("ascii")}

    def _slice(self, value, where):
        return {"$slice": self._list([value.start, value.stop, value.step], where)}

    def _time(self, value, where):
        if getattr(value, "tzinfo", None) is not None:
            return self._other(value, where)
        name = next(name for name, cls in TIMES.items() if cls is type(value))
        return {name: value.isoformat()}

    def _duration(self, value, where):
        return {"$timedelta": [value.days, value.seconds, value.microseconds]}

    _SIMPLE = {
        list: _list, tuple: _tuple, set: _set, frozenset: _frozenset, dict: _dict, bytes: _bytes,
        np.ndarray: _ndarray, np.ma.MaskedArray: _masked, np.random.RandomState: _stream,
        slice: _slice, datetime.timedelta: _duration, **dict.fromkeys(TIMES.values(), _time),
        **dict.fromkeys(
            (sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array, sparse.csc_array), _sparse
        ),
    }  # fmt: skip

    def _of_kind(self, value, where):
        if isinstance(value, np.dtype):
            return self._dtype(value, where)
        if value is np.float32 or value is np.float64:
            return {"$type": value.__name__}
        if isinstance(value, PurePath) and not self._lenient:
            return str(value)
        if isinstance(value, np.memmap):  # an array that lies in a file
            return self._ndarray(np.asarray(value), where)
        if isinstance(value, np.str_):
            return str(value)
        if isinstance(value, np.generic):
            return self._scalar(value, where)
        name = name_of(type(value))
        if name is None:
            return self._other(value, where)
        number = self._numbers.get(id(value))
        if number is not None and number >= 0:
            return {"$same": number}
        try:
            if number is not None:
                raise ValueError(f"{where} is part of itself, which no file can hold")
            parts = {} if type(value) in self._blank else parts_of(value)
        except (TypeError, ValueError):
            if self._lenient:
                return self._other(value, where)
            raise
        self._numbers[id(value)] = -1
        return self._numbered(value, {"$kind": name, "with": self.parts(parts, where)})

    def _numbered(self, value, packed):
        """Give an object its number when it is done, as it gets it when it is made again."""
        self._alive.append(value)
        self._numbers[id(value)] = self._n_done
        self._n_done += 1
        return packed


class Unpacker:
    """Makes objects of plain values.

    Parameters
    ----------
    array : callable
        Takes what stands for an array; returns it.
    other : dict of str to callable, default={}
        More words, and what makes an object of a dict that begins with them.
    components : dict of str to type, default={}
        More kinds, by name.
    trusted : bool, default=False
        Whether parts of objects are taken as they are; see `of_parts`.

    Attributes
    ----------
    made : list of object
        The objects of kinds, those inside others first.
    """

    def __init__(self, array, other=None, components=None, trusted=False):
        self._array, self._other, self._trusted = array, other or {}, trusted
        self._components = components or {}
        self.made: list = []
        self._n_inside: list[int] = []  # of each: itself, and all in it
        self._n_seen = 0

    def unpack(self, value):
        """Return the value of a plain form.

        Raises
        ------
        ValueError
            If it is none.
        """
        if isinstance(value, list):
            return [self.unpack(item) for item in value]
        if type(value) is not dict:
            return value
        word = next(iter(value), "")
        if not isinstance(word, str) or word[:1] != "$":
            return {key: self.unpack(item) for key, item in value.items()}
        if word in self._other:
            return self._other[word](value)
        if word not in self._WORDS:
            raise ValueError(f"it has the word {word!r}, which this skbp does not know")
        return self._WORDS[word](self, value)

    def _items(self, value, word, length=None):
        items = value[word]
        if not isinstance(items, list) or length not in (None, len(items)):
            raise ValueError(f"{word} is followed by {items!r:.100}")
        return [self.unpack(item) for item in items]

    def _kind(self, value):
        if type(value["$kind"]) is not str or type(value.get("with")) is not dict:
            raise ValueError("it has an object without a kind's name or without parts")
        before = self._n_seen
        parts = self.unpack(value["with"])
        made = of_parts(kind_named(value["$kind"], self._components), parts, self._trusted)
        return self._numbered(made, before)

    def _numbered(self, made, before):
        self.made.append(made)
        self._n_seen += 1
        self._n_inside.append(self._n_seen - before)
        return made

    def _same(self, value):
        number = value["$same"]
        if type(number) is not int or not 0 <= number < len(self.made):
            raise ValueError("it refers to an object that it does not have")
        self._n_seen += self._n_inside[number]
        if self._n_seen > MOST_SEEN * (len(self.made) + 10):  # else 60 in each other make 2**60
            raise ValueError("its objects stand in too many places")
        return self.made[number]

    def _objects(self, value):
        items, shape = self._items(value, "$objects"), tuple(value["shape"])
        if not all(type(n) is int and n >= 0 for n in shape) or math.prod(shape) != len(items):
            raise ValueError(f"{len(items)} objects are to have shape {shape}")
        array = np.empty(len(items), object)
        for place, item in enumerate(items):  # one by one: an item may be a list
            array[place] = item
        return array.reshape(shape)

    def _dict(self, value):
        pairs = self._items(value, "$dict")
        if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
            raise ValueError("it has a dict whose items are no pairs")
        return dict(pairs)

    def _number(self, value):
        if value["$float"] not in ("nan", "inf", "-inf"):
            raise ValueError(f"it has the number {value['$float']!r:.100}")
        return float(value["$float"])

    def _masked(self, value):
        data, mask, fill = self._items(value, "$masked", 3)
        return np.ma.MaskedArray(data, mask, fill_value=fill)

    def _sparse(self, value):
        name, arrays = value["$sparse"], self._items(value, "arrays", 3)
        if name not in ("csr_matrix", "csc_matrix", "csr_array", "csc_array"):
            raise ValueError(f"it has a sparse matrix of the kind {name!r:.100}")
        matrix = getattr(sparse, name)(tuple(arrays), shape=tuple(value["shape"]))
        matrix.check_format(full_check=True)
        return matrix

    def _stream(self, value):
        state = self.unpack(value["$random_state"])
        stream = np.random.RandomState(0)
        if not 0 <= state["state"]["pos"] <= 624:  # NumPy would read beyond the end
            raise ValueError("it has a random state that is none")
        stream.set_state(state)
        return self._numbered(stream, self._n_seen)

    def _scalar(self, value):
        content, dtype = self._bytes(value), self._dtype({"$dtype": value["$scalar"]})
        if len(content) != dtype.itemsize or not content:
            raise ValueError(f"it has a {dtype} of {len(content)} bytes")
        return np.frombuffer(content, dtype)[0]

    def _bytes(self, value):
        return base64.b64decode(value["$bytes"], validate=True)

    def _dtype(self, value):
        dtype = np.dtype(value["$dtype"]) if isinstance(value["$dtype"], str) else None
        if dtype is None or dtype.kind not in PLAIN_DTYPES or dtype.names is not None:
            raise ValueError(f"it has the dtype {value['$dtype']!r:.100}")
        return dtype

    def _type(self, value):
        if value["$type"] not in NUMBER_TYPES:
            raise ValueError(f"it has the type {value['$type']!r:.100}")
        return NUMBER_TYPES[value["$type"]]

    def _times(self, value):
        ((word, text),) = value.items()
        return TIMES[word].fromisoformat(text)

    _WORDS = {
        "$kind": _kind, "$same": _same, "$objects": _objects, "$dict": _dict, "$float": _number,
        "$masked": _masked, "$sparse": _sparse, "$random_state": _stream, "$dtype": _dtype,
        "$type": _type, "$scalar": _scalar, **dict.fromkeys(TIMES, _times),
        "$array": lambda self, value: self._array(value["$array"]),
        "$tuple": lambda self, value: tuple(self._items(value, "$tuple")),
        "$set": lambda self, value: set(self._items(value, "$set")),
        "$frozenset": lambda self, value: frozenset(self._items(value, "$frozenset")),
        "$slice": lambda self, value: slice(*self._items(value, "$slice", 3)),
        "$bytes": _bytes,
        "$timedelta": lambda self, value: datetime.timedelta(*self._items(value, "$timedelta", 3)),
    }  # fmt: skip
