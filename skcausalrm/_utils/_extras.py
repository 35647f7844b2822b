"""Late import of optional dependencies, with an error that names the extra to install."""

from importlib import import_module
from types import ModuleType

from ..exceptions import MissingExtraError


def import_extra(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import a module, or raise an error that names the ``skcausalrm[extra]`` to install.

    Raises
    ------
    MissingExtraError
        If the module is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.split(".")[0] != module.split(".")[0]:
            raise  # the package is installed but lacks a dependency
        raise MissingExtraError(module.split(".")[0], extra, purpose) from error
