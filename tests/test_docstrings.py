"""Docstrings of public names pass numpydoc's validation; pyproject.toml lists the checks."""

import inspect
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import skcausalrm

pytest.importorskip("torch")
validate = pytest.importorskip("numpydoc.validate").validate

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
CHECKS = set(tomllib.loads(PROJECT.read_text())["tool"]["numpydoc_validation"]["checks"])
FOLDERS = [
    path.parent.name
    for path in sorted(Path(skcausalrm.__file__).parent.glob("*/__init__.py"))
    if not path.parent.name.startswith("_")
]


def names_of(module):
    """Return the public names of a module; one without imports need not list them."""
    return getattr(module, "__all__", [name for name in vars(module) if not name.startswith("_")])


def public_names():
    """Yield each public class, function, method and property once, by its shortest path."""
    seen = set()
    for module in ["skcausalrm", "skcausalrm.exceptions", *(f"skcausalrm.{f}" for f in FOLDERS)]:
        for name in names_of(import_module(module)):
            found = getattr(import_module(module), name)
            own = getattr(found, "__module__", "").startswith("skcausalrm")
            if not own or not callable(found) or found in seen:
                continue
            seen.add(found)
            yield f"{module}.{name}"
            if inspect.isclass(found):
                yield from (f"{module}.{name}.{member}" for member in public_members(found))


def public_members(cls):
    """Yield methods and properties that the class defines and documents."""
    for name, value in vars(cls).items():
        method = inspect.isfunction(value) or isinstance(value, property | classmethod)
        if method and not name.startswith("_") and not inherits_docstring(cls, name):
            yield name


def inherits_docstring(cls, name):
    bases = [base for base in cls.__mro__[1:] if base.__module__.startswith("skcausalrm")]
    documented = any(getattr(vars(base).get(name), "__doc__", None) for base in bases)
    return vars(cls)[name].__doc__ is None and documented


@pytest.mark.parametrize("name", list(public_names()))
def test_docstring_is_valid(name):
    checks = CHECKS - {"PR01"} if name.endswith("Warning") else CHECKS  # parameters of their base
    errors = [f"{code}: {text}" for code, text in validate(name)["errors"] if code in checks]
    assert errors == []
