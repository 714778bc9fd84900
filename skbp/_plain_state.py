"""The state of an estimator in pickles and files, as plain values."""

from copy import deepcopy
from inspect import Parameter, signature

from skbp._plain import Packer, Unpacker, check_attribute, kept
from skbp._version import __version__
from skbp._warnings import VersionWarning, warn


class PlainState:
    """An estimator whose pickles hold plain values, so that they name its own class alone.

    What is no kind of skbp's, such as a caller's own layer, is in them as it is.
    """

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        kept(cls)

    def _parts(self):
        """Return the attributes that are kept, by name."""
        return dict(vars(self))

    @classmethod
    def _of_parts(cls, parts):
        """Return an estimator with these parameters and attributes; missing ones are defaults."""
        defaults = {
            name: one.default
            for name, one in signature(cls.__init__).parameters.items()
            if name != "self"
        }
        for name in parts:
            if name not in defaults:
                check_attribute(cls, name)
        missing = [
            n for n, value in defaults.items() if value is Parameter.empty and n not in parts
        ]
        if missing:
            raise ValueError(f"a {cls.__name__} is missing its {missing}")
        made = cls.__new__(cls)
        made.__dict__.update(defaults | parts)
        return made

    def _check_parts(self):
        """Raise a ValueError if attributes out of a file do not go together."""

    def __getstate__(self):
        packer = Packer(
            lambda array, where: array, lambda value, where: {"$as_is": value}, lenient=True
        )
        name = type(self).__name__
        packed = {key: packer.pack(part, f"{name}.{key}") for key, part in self._parts().items()}
        return packed | {"_skbp_version": __version__}

    def __setstate__(self, state):
        packed = dict(state)
        version = packed.pop("_skbp_version", "of another time")
        if version != __version__:
            warn(VersionWarning(type(self).__name__, version))
        words = {"$as_is": lambda value: value["$as_is"]}
        unpacker = Unpacker(lambda array: array, words, trusted=True)
        self.__dict__.update({key: unpacker.unpack(part) for key, part in packed.items()})

    # Copies in this process need no plain values.

    def __copy__(self):
        twin = type(self).__new__(type(self))
        twin.__dict__.update(self._parts())
        return twin

    def __deepcopy__(self, memo):
        twin = memo[id(self)] = type(self).__new__(type(self))
        twin.__dict__.update(deepcopy(self._parts(), memo))
        return twin
