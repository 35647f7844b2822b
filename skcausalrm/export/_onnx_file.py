"""`to_onnx`: build the graph, check that it equals `predict`, then write the file."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._utils._atomic_files import write_atomically
from ..exceptions import (
    ExportParityError,
    ModelDirectoryError,
    UnsupportedExportError,
    UnusedParameterError,
)
from ._graph import build_model
from ._metadata import write_metadata
from ._network import RewardNetwork, describe, describe_single, feature_names, frame, last_step
from ._scorer import RewardScorer

# Maximum difference of an output, relative to the largest of its batch where that exceeds 1, and
# difference of rewards above which their order must be the same.
TOLERANCE, ORDER_TOLERANCE = 1e-5, 1e-4
# Standard deviations of the random rows on which files are checked.
_INPUT_SCALES = (0.0, 1e-3, 1e-2, 0.1, 1.0, 10.0, 1e3, 1e6)


def to_onnx(
    fitted: Any,
    path: str | os.PathLike,
    *,
    opset: int | None = None,
    single: bool = False,
    pessimism: float | None = None,
) -> Path:
    """Write a fitted reward to one ONNX file that :class:`RewardScorer` scores.

    The graph takes "X" (N, d) float32. It returns "reward" (N,), equal to ``predict`` (to
    ``predict_proba(X)[:, 1]`` for a classifier), and "score" (N,), equal to
    ``decision_function``; for the selection model's own head and for a ridge head also
    "reward_std" (N,), the standard deviation of ``predict(X, return_std=True)``, and "distance"
    (N,), from which :meth:`RewardScorer.support` is read. The file holds
    the weights; its metadata holds head, method, column names and the versions of the packages.

    Sums in the graph run in float64, so neither width nor scale of the input costs precision.
    Before the file is kept, all outputs are compared with those of the fitted model in float64,
    on random rows of scales 1e-3 to 1e6, on zeros and on unit vectors.

    Parameters
    ----------
    fitted : CausalRewardRegressor, CausalRewardClassifier, or a Pipeline that ends with one
        Fitted reward. This package writes the selection model's own head, the ridge and the MLP
        head; skl2onnx writes other heads and the steps of a Pipeline, in float64 where it can.
    path : path-like
        File to write. The write is atomic; an older file is replaced.
    opset : int, default=None
        ONNX operator set, at least 13. None is 17, which every onnxruntime since 1.12 runs.
    single : bool, default=False
        Whether to write, in place of the selection model's own head (a mean of sigmoids), the one
        sigmoid nearest to it, recalibrated in the same way: d weights and an intercept, for
        systems that take only a linear score. It has no standard deviation.
        ``RewardScorer.metadata_["single_fit"]`` holds how far its probabilities are from the
        mixture's.
    pessimism : float, default=None
        Whether the file's reward is that of ``predict(X, pessimism=...)``, so that whatever scores
        with it, a server or a trainer, is pessimistic. Its score is the same before clipping and
        recalibration.

    Returns
    -------
    path : pathlib.Path
        The written file.

    Raises
    ------
    ExportParityError
        If a reward differs by more than 1e-5 (relative to the largest reward of its batch if that
        exceeds 1, as a continuous reward can), or if rewards that differ by more than 1e-4 change
        their order. No file is written then.
    MissingExtraError
        If onnx, onnxruntime or (for the parts it writes) skl2onnx is not installed.
    TypeError
        If `fitted` is not one of these estimators.
    UnsupportedExportError
        If skl2onnx cannot convert the head or a step.
    UnusedParameterError
        If `single` is True for another head or with `pessimism`, or the head keeps neither folds
        nor components for `pessimism`.
    ValueError
        If `opset` is not available.

    Notes
    -----
    "single_fit" holds differences of probabilities before any recalibration:
    "largest_training_difference" over the training rows, "largest_normal_difference" and
    "mean_normal_difference" over linear predictors of a standard normal distribution, the largest
    within 4 standard deviations. Files of the mixture hold it too.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from pathlib import Path
    >>> from skcausalrm import CausalRewardRegressor
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> from skcausalrm.export import RewardScorer, to_onnx
    >>> data = make_observational_feedback(2000, 16, random_state=0)
    >>> model = CausalRewardRegressor(random_state=0).fit(data.X, data.y, groups=data.groups)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     scorer = RewardScorer.load(to_onnx(model, Path(folder) / "reward.onnx"))
    >>> bool(np.abs(scorer.predict(data.X) - model.predict(data.X)).max() < 1e-5)
    True
    """
    path = Path(path)
    if single and pessimism is not None:
        raise UnusedParameterError(
            "One sigmoid has no spread to be pessimistic about: leave single or pessimism out."
        )
    if single:
        fitted, network = describe_single(fitted)
    else:
        network = describe(fitted, any_head=True, pessimism=pessimism)
    write_atomically(path, onnx_bytes(fitted, network, opset=opset))
    return path


def onnx_bytes(fitted: Any, network: RewardNetwork, *, opset: int | None = None) -> bytes:
    """Return the checked ONNX model of a fitted reward.

    Parameters
    ----------
    fitted : CausalRewardRegressor, CausalRewardClassifier, or Pipeline that ends with one
        Fitted reward.
    network : RewardNetwork
        Its network, from :func:`describe` or :func:`describe_single`.
    opset : int or None, default=None
        ONNX operator set; None is 17.
    """
    parity = _Parity(fitted, network)
    metadata = write_metadata(network, str(parity.reward.method_), parity.names)
    try:
        return _checked(parity, metadata, opset, double=True)
    except (UnsupportedExportError, ModelDirectoryError, ExportParityError):
        if network.estimator is None and network.before is None:
            raise
        # skl2onnx or onnxruntime supports some operators, or computes them right, in float32 only
        return _checked(parity, metadata, opset, double=False)


def check_parity(
    name: str,
    found: NDArray,
    expected: NDArray,
    where: str,
    *,
    tolerance: float,
    cure: str = "please report this with the versions in use",
) -> float:
    """Return the largest difference between exported and fitted values.

    Raises
    ------
    ExportParityError
        If it exceeds the tolerance, relative to the largest expected value if that exceeds 1.
    """
    allowed = tolerance * max(1.0, float(np.abs(expected).max()))
    difference = float(np.abs(found - expected).max())
    if not difference <= allowed:
        raise ExportParityError(
            f"The exported {name} differs from the fitted model's by {difference:.2g} on {where} "
            f"(allowed: {allowed:.2g}), so no file was written; {cure}."
        )
    return difference


class _Parity:
    """Comparison of exported files with the fitted reward.

    Parameters
    ----------
    fitted : CausalRewardRegressor, CausalRewardClassifier, or Pipeline that ends with one
        Fitted reward.
    network : RewardNetwork
        The exported network.
    """

    def __init__(self, fitted: Any, network: RewardNetwork):
        self.reward, self.network = last_step(fitted), network
        self.names = feature_names(fitted)

    def check(self, scorer: RewardScorer) -> None:
        """Raise `ExportParityError` if a scorer differs from the fitted reward on random rows."""
        for scale, X in _probes(scorer.n_features_in_):
            # float64, because heads round float32 rows in different ways
            framed = frame(X.astype(np.float64), self.names)
            if self.network.before is not None:
                framed = self.network.before.transform(framed)
            expected = self._expected(framed)
            try:
                found = {"reward": scorer.predict(X), "score": scorer.decision_function(X)}
            except ValueError as error:
                raise ExportParityError(
                    f"The exported file has no finite score on inputs of scale {scale:g} where the "
                    f"fitted model has one, so no file was written; leave out steps that divide by "
                    f"a norm of 0."
                ) from error
            if self.network.has_std:
                found["reward_std"] = scorer.predict(X, return_std=True)[1]
            if self.network.support is not None:
                found["support"] = scorer.support(X)
                expected["support"] = self.network.support(np.asarray(framed))
            for name, values in expected.items():
                where = f"inputs of scale {scale:g}"
                check_parity(name, found[name], values, where, tolerance=TOLERANCE)
            larger = np.subtract.outer(expected["reward"], expected["reward"]) > ORDER_TOLERANCE
            if (larger & (np.subtract.outer(found["reward"], found["reward"]) <= 0)).any():
                raise ExportParityError(
                    f"The exported file orders rewards that differ by more than "
                    f"{ORDER_TOLERANCE:g} differently from the fitted model on inputs of scale "
                    f"{scale:g}, so no file was written; please report this with the versions in "
                    f"use."
                )

    def _expected(self, X) -> dict[str, Any]:
        """Return the fitted reward's outputs by name."""
        from ..reward._head import reward_and_std

        if (beta := self.network.pessimism) is not None:
            rows = np.asarray(X)
            head = self.reward.estimator_
            ridge = {"binary": False} if self.network.component_weights is None else {}
            return {
                "reward": reward_and_std(self.reward, rows, return_std=False, pessimism=beta)[0],
                "score": head.pessimistic(rows, beta, **ridge),
            }
        by_class = hasattr(self.reward, "predict_proba")
        outputs = {
            "reward": self.reward.predict_proba(X)[:, 1] if by_class else self.reward.predict(X),
            "score": self.reward.decision_function(X),
        }
        if self.network.has_std:
            outputs["reward_std"] = reward_and_std(self.reward, np.asarray(X), return_std=True)[1]
        return outputs


def _checked(parity: _Parity, metadata: dict[str, str], opset, *, double: bool) -> bytes:
    def content(metadata: dict[str, str]) -> bytes:
        return build_model(parity.network, metadata, opset, double=double).SerializeToString()

    result = content(metadata)
    parity.check(RewardScorer(result))
    if metadata["linear"] != "null":
        # RewardScorer computed this reward in numpy; other runtimes run the graph
        parity.check(RewardScorer(content({**metadata, "linear": "null"})))
    return result


def _probes(n_features: int):
    rng = np.random.default_rng(0)
    for scale in _INPUT_SCALES:
        yield scale, (scale * rng.standard_normal((32, n_features))).astype(np.float32)
    columns = np.unique(np.linspace(0, n_features - 1, 32).astype(int))
    unit = np.zeros((2 * len(columns), n_features), dtype=np.float32)
    unit[np.arange(len(columns)), columns] = 1
    unit[len(columns) + np.arange(len(columns)), columns] = -1
    yield 1.0 / math.sqrt(n_features), unit
