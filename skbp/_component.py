"""How a parameter that takes a name also takes a component."""

from functools import cache


@cache
def _default_instance(cls):
    return cls()


def resolve(spec, registry, what):
    """Turn a name into its component with default parameters; let a component through.

    Parameters
    ----------
    spec : str or object
        A key of `registry`, or a component (an instance, not its class).
    registry : dict of str to class
        The components known by name.
    what : str
        What the component is, for the error's text.

    Returns
    -------
    component : object
        Components hold hyperparameters only and are never changed, so one instance of each
        named component serves everybody.

    Raises
    ------
    ValueError
        If the name is not in the registry.
    TypeError
        If a class was given where an instance belongs.
    """
    if isinstance(spec, str):
        if spec not in registry:
            known = ", ".join(repr(name) for name in registry)
            raise ValueError(f"unknown {what} {spec!r}; use one of {known}, or a component")
        return _default_instance(registry[spec])
    if isinstance(spec, type):
        raise TypeError(f"{what} was given the class {spec.__name__}; give an instance: "
                        f"{spec.__name__}()")  # fmt: skip
    return spec
