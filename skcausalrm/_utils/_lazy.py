"""Public names of a folder, imported on first use."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return ``__getattr__``, ``__dir__`` and ``__all__`` for the package's ``__init__``.

    The import of a folder then loads nothing else: scoring an exported reward imports neither
    scikit-learn nor torch.

    Parameters
    ----------
    package : str
        ``__name__`` of the package.
    homes : mapping of str to str
        For each public name, the module in the package that defines it.
    """
    names = sorted(homes)

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(homes[name], package), name)

    return get, lambda: names, names
