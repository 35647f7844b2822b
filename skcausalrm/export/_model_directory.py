"""The model directory: one fitted reward as JSON, ONNX and safetensors, without pickle.

::

    config.json         what the model is, with the SHA-256 of itself and of every other file
    head.onnx           the graph that RewardScorer runs
    head.safetensors    the head's weights
"""

import json
import os
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from .._utils._atomic_files import write_synced
from .._utils._hashing import hash_bytes
from ..exceptions import ModelDirectoryError
from ._layout import CONFIG, FORMAT, ONNX, WEIGHTS, check_place, new_folder, read_file
from ._metadata import created_with
from ._network import RewardNetwork, describe, feature_names
from ._onnx_file import onnx_bytes
from ._scorer import RewardScorer

# Raised when older versions could no longer read a new directory.
FORMAT_VERSION = 1
# Version of directories that held sums for updates, a feature that is gone; the next one is 3.
_UPDATABLE_VERSION = 2
# Method names of early model directories.
_RENAMED_METHODS = {"joint": "selection"}
_UNSIGNED = "0" * 64


@dataclass(frozen=True)
class ModelDirectory:
    """A model directory whose files have been checked. The scorer starts on first use.

    Parameters
    ----------
    path : pathlib.Path
        The directory.
    config : dict
        Content of ``config.json``: method, head, settings, feature_names, versions and more.

    Attributes
    ----------
    scorer : RewardScorer
        Scorer on the CPU; ``RewardScorer(directory.onnx, device="cuda")`` starts another.
    weights : dict of ndarray
        ``layers.0.weight`` (n_in, n_out), ``layers.0.bias`` (n_out,), and so on; for a mixture
        ``component_weights`` (m,), for a ridge head ``folds.weight`` (d, n_folds) and
        ``folds.bias`` (n_folds,). With ``config["head"]`` they determine every reward and its
        standard deviation.
    """

    path: Path
    config: dict[str, Any]

    @property
    def encoder_settings(self) -> dict[str, Any] | None:
        """Settings of the encoder whose embeddings the model scores, as saved."""
        return self.config["encoder_settings"]

    @property
    def report(self) -> dict[str, Any] | None:
        """Report of the training, as saved."""
        return self.config["report"]

    @property
    def reward_reference(self) -> dict[str, Any] | None:
        """Mean and distribution of the rewards of the training rows, out of fold, as saved."""
        found = (self.report or {}).get("sets", {}).get("log", {})
        if "prediction_distribution" not in found:
            return None  # saved from Python, or by an earlier version
        return {"mean": found["mean_prediction"], **found["prediction_distribution"]}

    @property
    def onnx(self) -> bytes:
        """Content of ``head.onnx``, read and checked at each access."""
        return self.read(ONNX)

    @cached_property
    def scorer(self) -> RewardScorer:
        """Scorer on the CPU."""
        return RewardScorer(self.onnx)

    @cached_property
    def weights(self) -> dict[str, np.ndarray]:
        """Weights of the head."""
        from safetensors.numpy import load

        return load(self.read(WEIGHTS))

    def read(self, name: str) -> bytes:
        """Return the content of a file, checked again because it may have changed after loading.

        Parameters
        ----------
        name : str
            Name of a file of the directory.

        Returns
        -------
        bytes
            Content of the file.

        Raises
        ------
        ModelDirectoryError
            If the file is missing, cut or altered.
        """
        content = read_file(self.path, name)
        if hash_bytes(content) != self.config["files"][name]:
            raise ModelDirectoryError(
                f"{name} in {self.path} fails its checksum ({len(content)} bytes), so it was cut "
                "or altered; save the model again."
            )
        return content


def save_model_directory(
    fitted: Any,
    path: str | os.PathLike,
    *,
    encoder_settings: dict[str, Any] | None = None,
    report: dict[str, Any] | None = None,
    overwrite: bool = False,
    pessimism: float | None = None,
) -> Path:
    """Save a fitted reward as a directory without pickle.

    The directory is written under a temporary name next to `path` and then renamed, so a crash
    leaves the old one or the new one, never a mixture.

    Parameters
    ----------
    fitted : CausalRewardRegressor or CausalRewardClassifier
        Fitted reward with the selection model's own head, a ridge head or an MLP head.
    path : path-like
        Directory to create. It must not exist, or be an empty folder.
    encoder_settings : dict, default=None
        Settings of the encoder, as JSON can hold them.
    report : dict, default=None
        Numbers to keep with the model, as JSON can hold them, without NaN.
    overwrite : bool, default=False
        Whether to replace a model directory at `path`. Nothing else is ever replaced.
    pessimism : float, default=None
        Pessimism of the saved reward, as in :func:`to_onnx`.

    Returns
    -------
    path : pathlib.Path
        The written directory.

    Raises
    ------
    ModelDirectoryError
        If `path` exists and may not be replaced.
    ExportParityError
        If the ONNX file does not reproduce `fitted`.
    ValueError
        If JSON cannot hold `encoder_settings` or `report`.
    TypeError
        If `fitted` is not one of these estimators, or its head not one of these heads.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skcausalrm import CausalRewardRegressor
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> from skcausalrm.export import load_model_directory, save_model_directory
    >>> data = make_observational_feedback(2000, 16, random_state=0)
    >>> model = CausalRewardRegressor(random_state=0).fit(data.X, data.y, groups=data.groups)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = save_model_directory(model, Path(folder) / "model")
    ...     loaded = load_model_directory(path)
    ...     scores = loaded.scorer.predict(data.X)
    >>> loaded.config["method"], scores.shape
    ('selection', (2000,))
    """
    path = Path(path)
    place = path.resolve()  # if path is a link, replace the directory that it points to
    check_place(place, overwrite)
    network = describe(fitted, pessimism=pessimism)
    files = {ONNX: onnx_bytes(fitted, network), WEIGHTS: _weights_bytes(network)}
    config = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "method": str(fitted.method_),
        "estimator": type(fitted).__name__,
        "settings": _settings(fitted),
        "head": _head_config(network),
        "n_features": network.n_features,
        "feature_names": feature_names(fitted),
        "effective_sample_size": float(fitted.effective_sample_size_),
        "encoder_settings": encoder_settings,
        "report": report,
        "versions": created_with(),
        "files": {name: hash_bytes(content) for name, content in files.items()},
    }
    files[CONFIG] = signed_config(config)
    with new_folder(place) as folder:
        for name, content in files.items():
            write_synced(folder / name, content)
    return path


def load_model_directory(path: str | os.PathLike) -> ModelDirectory:
    """Open a model directory after checking every byte of it.

    This needs neither torch nor scikit-learn. Files that the model does not name are ignored.

    Parameters
    ----------
    path : path-like
        Directory written by :func:`save_model_directory`.

    Returns
    -------
    ModelDirectory
        The checked directory.

    Raises
    ------
    ModelDirectoryError
        If a file is missing, cut or altered, or if a newer skcausalrm wrote the directory.
    """
    path = Path(path)
    if not path.is_dir():
        raise ModelDirectoryError(f"{path} is not a directory; pass a model directory.")
    model = ModelDirectory(path, _read_config(path))
    for name in (ONNX, WEIGHTS):
        model.read(name)
    return model


def _read_config(path: Path) -> dict[str, Any]:
    content = read_file(path, CONFIG)
    try:
        config = json.loads(content)
        version, expected = int(config["format_version"]), str(config["checksum"])
        recognised = config["format"] == FORMAT
    except (ValueError, KeyError, TypeError):
        recognised = False
    if not recognised:
        raise ModelDirectoryError(
            f"{CONFIG} in {path} is damaged or not that of a model directory; save the model again."
        )
    if version == _UPDATABLE_VERSION:
        raise ModelDirectoryError(
            f"{path} was saved to be updated by an early skcausalrm, which this one cannot read; "
            f"fit the model again."
        )
    if version > FORMAT_VERSION:
        raise ModelDirectoryError(
            f"{path} has format version {version} and this skcausalrm reads up to "
            f"{FORMAT_VERSION}; upgrade skcausalrm."
        )
    unsigned = content.replace(expected.encode(), _UNSIGNED.encode(), 1)
    if hash_bytes(unsigned) != expected:
        raise ModelDirectoryError(
            f"{CONFIG} in {path} fails its checksum, so it was cut or altered; save the model "
            "again."
        )
    config["method"] = _RENAMED_METHODS.get(config["method"], config["method"])
    return config


def signed_config(config: dict[str, Any]) -> bytes:
    """Return JSON of `config` that begins with its SHA-256, computed with zeros in its place."""
    for name in ("encoder_settings", "report"):
        try:
            _to_json(config[name])
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{name} cannot be kept as JSON ({error}); use numbers other than NaN and inf, "
                "strings, lists and dicts."
            ) from error
    unsigned = _to_json({"checksum": _UNSIGNED, **config}, indent=2).encode()
    return unsigned.replace(_UNSIGNED.encode(), hash_bytes(unsigned).encode(), 1)


def _plain(value):
    """Return numpy numbers and arrays as Python objects, for JSON."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not a JSON type")


_to_json = partial(json.dumps, allow_nan=False, default=_plain)


def _settings(fitted: Any) -> dict[str, Any]:
    """Return the parameters for the record, those that JSON cannot hold as their repr."""
    settings = fitted.get_params(deep=False)
    for name, value in settings.items():
        try:
            _to_json(value)
        except (TypeError, ValueError):
            settings[name] = repr(value)
    return settings


def _head_config(network: RewardNetwork) -> dict[str, Any]:
    recalibration = network.recalibration
    return {
        "kind": network.head,
        "n_layers": len(network.weights),
        "negative_slope": network.negative_slope,
        "link": network.link,
        "binary": network.binary,
        "recalibration": None if recalibration is None else asdict(recalibration),
        "threshold": network.threshold,
        "single_fit": network.single_fit,
        "pessimism": network.pessimism,
    }


def _weights_bytes(network: RewardNetwork) -> bytes:
    from safetensors.numpy import save

    arrays = {
        "component_weights": network.component_weights,
        "folds.weight": network.fold_weights,
        "folds.bias": network.fold_biases,
        "spread.weight": None if network.pessimism is None else network.spread_weights,
        "spread.bias": None if network.pessimism is None else network.spread_biases,
    }
    for layer, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        arrays[f"layers.{layer}.weight"], arrays[f"layers.{layer}.bias"] = weight, bias
    return save({name: np.ascontiguousarray(a) for name, a in arrays.items() if a is not None})
