"""Late import of optional dependencies, with a sentence that says which extra brings them."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from ..exceptions import MissingExtraError


def import_extra(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import `module`, or say which ``skcausalrm[extra]`` brings it.

    Raises
    ------
    MissingExtraError
        If the module is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.split(".")[0] != module.split(".")[0]:
            raise  # the package is there and itself lacks something
        raise MissingExtraError(module.split(".")[0], extra, purpose) from error
