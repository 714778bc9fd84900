"""The API reference: one page a public module, one a public class or function.

The pages are written from each module's ``__all__`` before Sphinx reads its sources. What is new in
an ``__all__`` or a registry is in the reference without a line by hand.
"""

import importlib
import inspect
import pkgutil
import re
from itertools import takewhile
from pathlib import Path

import skbp

FOLDER = Path("generated", "api")


def public_modules():
    """Return the modules that users enter: skbp, and those below it that have names of their own.

    Modules behind an underscore are machinery, those below a package (``skbp.layers.dense``) are
    read through it, and what only holds names that skbp exports (``skbp.estimators``) needs no
    page.
    """
    names = [m.name for m in pkgutil.iter_modules(skbp.__path__) if not m.name.startswith("_")]
    modules = [importlib.import_module(f"skbp.{name}") for name in sorted(names)]
    return [skbp, *(m for m in modules if not set(m.__all__) <= set(skbp.__all__))]


def public_objects(module):
    """Return the classes and functions of a module's ``__all__``, by name."""
    objects = {name: getattr(module, name) for name in module.__all__}
    return {name: o for name, o in objects.items() if inspect.isclass(o) or inspect.isfunction(o)}


def registry(module):
    """Return the module's dict from names to classes; empty if it has none."""
    found = [getattr(module, name) for name in module.__all__ if name.isupper()]
    return next((value for value in found if isinstance(value, dict)), {})


def owner(cls, member):
    """Return the class of the inheritance chain that defines a member."""
    return next(base for base in cls.__mro__ if member in vars(base))


def is_method(cls, member):
    """Whether a public member of a class is a method (properties are documented as attributes).

    Methods like ``set_fit_request``, which scikit-learn makes up, do not count.
    """
    if member.startswith("_") or re.fullmatch(r"set_\w+_request", member):
        return False
    value = getattr(cls, member, None)
    return callable(value) and not inspect.isclass(value)


def methods(cls, public):
    """Return the names of the methods to document with a class, in the order of definition.

    Those are its own that have a docstring of their own, and what it has from bases that are not
    public; what comes from a public base is documented there.
    """
    bases = takewhile(lambda base: base is cls or base not in public, cls.__mro__)
    names = [
        name
        for base in bases
        if base.__module__.startswith("skbp")
        for name, value in vars(base).items()
        if is_method(cls, name) and getattr(value, "__doc__", None)
    ]
    return list(dict.fromkeys(names))


def from_scikit_learn(cls):
    """Return the names of the public methods that a class has from scikit-learn."""
    return [
        name
        for name in dir(cls)
        if is_method(cls, name) and owner(cls, name).__module__.startswith("sklearn")
    ]


def heading(text, line="="):
    """Return a reST heading."""
    return f"{text}\n{line * len(text)}\n\n"


def first_line(obj):
    """Return the first line of a docstring."""
    return inspect.getdoc(obj).splitlines()[0]


def table(rows, header):
    """Return a reST table."""
    lines = [".. list-table::", "   :header-rows: 1", "   :widths: auto", ""]
    for row in (header, *rows):
        lines += [f"   {'*' if i == 0 else ' '} - {cell}" for i, cell in enumerate(row)]
    return "\n".join(lines) + "\n\n"


def module_page(module):
    """Return the page of a module: what it is for, names, objects."""
    name, objects = module.__name__, public_objects(module)
    text = heading(name) + f".. automodule:: {name}\n   :no-members:\n\n"
    names = {cls: key for key, cls in registry(module).items()}
    rows = [
        (f"``{names[o]!r}``" if o in names else "", f":py:obj:`~{name}.{key}`", first_line(o))
        for key, o in objects.items()
    ]
    if names:
        rows.sort(key=lambda row: not row[0])  # first what goes by a name; then base classes
        text += table(rows, ("name", "class", "what it is"))
    else:
        text += table([row[1:] for row in rows], ("object", "what it is"))
    pages = "".join(f"   {name}.{key}\n" for key in objects)
    return text + f".. toctree::\n   :hidden:\n\n{pages}"


def object_page(module, name, public):
    """Return the page of a class or function."""
    obj, full = getattr(module, name), f"{module.__name__}.{name}"
    text = heading(name) + f".. currentmodule:: {module.__name__}\n\n"
    if inspect.isfunction(obj):
        return text + f".. autofunction:: {full}\n"
    text += f".. autoclass:: {full}\n"
    if public.intersection(obj.__bases__):
        text += "   :show-inheritance:\n"
    if members := methods(obj, public):
        text += f"   :members: {', '.join(members)}\n   :member-order: bysource\n"
    if inherited := from_scikit_learn(obj):
        text += "\n.. rubric:: From scikit-learn\n\n"
        text += ", ".join(f"``{member}``" for member in inherited) + "\n"
    return text


def pages():
    """Return the text of each page by its name."""
    modules = public_modules()
    public = {o for module in modules for o in public_objects(module).values()}
    texts = {module.__name__: module_page(module) for module in modules}
    for module in modules:
        for name in public_objects(module):
            texts[f"{module.__name__}.{name}"] = object_page(module, name, public)
    rows = [(f":doc:`{m.__name__}`", first_line(m)) for m in modules]
    entries = "".join(f"   {m.__name__}\n" for m in modules)
    texts["index"] = heading("API reference") + table(rows, ("module", "what it holds"))
    texts["index"] += f".. toctree::\n   :hidden:\n\n{entries}"
    return texts


def write(app):
    """Write the pages; those whose text is as before are left alone, others' leftovers removed."""
    folder = Path(app.srcdir, FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    texts = {folder / f"{name}.rst": text for name, text in pages().items()}
    for path in set(folder.glob("*.rst")) - set(texts):
        path.unlink()
    for path, text in texts.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def escape_shapes(app, what, name, obj, options, lines):
    """Escape what reST would take for markup in a shape, as in ``shape (n, *input_shape)``."""
    for i, line in enumerate(lines):
        if "``" not in line:
            lines[i] = re.sub(r"shape \([^)]*\)", lambda m: re.sub(r"([*_])", r"\\\1", m[0]), line)


def setup(app):
    """Have the pages written before each build."""
    app.connect("builder-inited", write)
    app.connect("autodoc-process-docstring", escape_shapes, priority=400)  # before numpydoc
    return {"parallel_read_safe": True}
