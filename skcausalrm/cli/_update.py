"""``skcausalrm fit --update``: a new log into a model directory, at the cost of the new rows."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..exceptions import UpdateError
from ._console import print_table, progress
from ._logs import FeedbackLog, read_log
from ._models import encode
from ._prompts import count_shared, join_prompts, pack_prompts
from ._scores import all_scores, score_columns, score_rows

if TYPE_CHECKING:
    import numpy as np

__all__ = ["file_digest", "print_update", "refuse_settings", "stable_groups", "update_model"]

# Options of a fit anew: what they say stands in the model directory.
_SETTLED = (
    "model", "method", "head", "imputation_name", "false_positive_rate", "false_negative_rate",
    "base_rate", "random_state",
)  # fmt: skip
# Recipes that give every row a pseudo-outcome to score against.
_SCORED = ("dr", "joint")


def refuse_settings(ctx: typer.Context) -> None:
    """Raise if the user gave an option that an update cannot change.

    Raises
    ------
    BadParameter
    """
    for name in _SETTLED:
        source = ctx.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(
                f"--{name.replace('_', '-')} was settled when the model was fitted, and --update "
                "keeps it: leave it out, or fit anew on all logs."
            )


def stable_groups(log: FeedbackLog) -> np.ndarray:
    """Return groups by names that mean the same in other logs.

    Where the source names none, `load_feedback` numbers the openings of conversations from 0 in
    each log; then the openings themselves are the names.
    """
    import numpy as np
    import pandas as pd

    from ..datasets._loader import _opening

    openings = _opening(log.frame["prompt"])
    numbered = np.array_equal(log.groups, pd.factorize(openings)[0])
    return openings if numbered else log.groups


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a log, by which it is known when it comes again."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def update_model(
    directory: Path,
    out: Path,
    logs: Path,
    *,
    cache_dir: Path | None,
    overwrite: bool,
    **reading: Any,
) -> dict[str, Any]:
    """Add a log to a model directory and save it at `out`; return what to report.

    Parameters
    ----------
    directory, out, logs : path
    cache_dir : path or None
    overwrite : bool
    **reading
        Options of `read_log`.

    Raises
    ------
    UpdateError
        If the model cannot be updated, or holds this very log already.
    ModelDirectoryError
        If the directory is damaged, or its encoder is no longer the one of the fit.
    """
    from ..embedding.saved import load_encoder
    from ..export import load_model_directory, save_model_directory

    model = load_model_directory(directory)
    reward = model.load_estimator()
    before = model.report or {}
    progress(f"reading {logs}")
    log = read_log(logs, **reading)
    digest = file_digest(logs)
    included = [before, *before.get("updates", [])]
    if digest in [entry.get("log_sha256") for entry in included]:
        raise UpdateError(
            f"{logs} is in {directory} already, and its rows would count twice: pass a log of new "
            "rows alone."
        )
    encoder = load_encoder(model.encoder_settings, directory, cache_dir)
    X = encode(encoder, log.text)
    columns = dict(log.columns)
    if columns.pop("imputation", None) is not None:
        progress("the column imputation is not used: an update keeps the imputation model")
    if reward.method_ == "joint" and columns.pop("verified", None) is not None:
        progress(
            "verified rows serve the scores alone: the likelihood of joint stays as it is "
            "(fit anew on all logs to use them)"
        )
    prediction, penalty = reward.predict(X), reward.estimator_.penalty_
    progress(f"updating {reward.method_}")
    reward.partial_fit(X, log.y, groups=stable_groups(log), **columns)
    sets = {}
    if reward.method_ in _SCORED:
        count_shared(log.text, before.get("training_prompts"))
        fitted = reward.noise_estimator_ or reward.selection_model_
        rates = (
            (0.0, 0.0)
            if fitted is None
            else (fitted.false_positive_rate_, fitted.false_negative_rate_)
        )
        sets = all_scores(log, reward.target_, prediction, rates)
    update = {
        **log.counts(),
        "log": str(logs),
        "log_sha256": digest,
        "truncated_texts": encoder.truncated_count_,
        "rows_so_far": int(reward.n_samples_seen_),
        "effective_sample_size": float(reward.effective_sample_size_),
        "penalty_before": float(penalty),
        "penalty": float(reward.estimator_.penalty_),
        "sets": sets,
    }
    prompts = join_prompts(before.get("training_prompts"), pack_prompts(log.text))
    save_model_directory(
        reward,
        out,
        encoder_settings=model.encoder_settings,
        report={
            **before,
            "updates": [*before.get("updates", []), update],
            "training_prompts": prompts,
        },
        overwrite=overwrite,
        updatable=True,
    )
    return {"method_used": reward.method_, **update}


def print_update(report: dict[str, Any]) -> None:
    """Print what an update read and did."""
    positive = report["positive_share_of_rated"]
    lines = [
        ("new rows", f"{report['rows']:,}"),
        ("prompts (groups)", f"{report['groups']:,}"),
        ("rated rows", f"{report['rated']:,} ({report['rated_share']:.1%})"),
        ("positive among the rated", f"{positive:.3f}"),
        *(
            (f"{name} rows", f"{report[name]:,}")
            for name in ("verified", "asked")
            if name in report
        ),
        ("truncated texts", f"{report['truncated_texts']:,}"),
        ("rows so far", f"{report['rows_so_far']:,}"),
        ("effective sample size", f"{report['effective_sample_size']:,.0f}"),
        ("penalty (before)", f"{report['penalty']:.3g} ({report['penalty_before']:.3g})"),
    ]
    print_table(f"Update: {report['method_used']}, ridge head", ["", "value"], lines)
    if report["sets"]:
        print_table(
            "Scores of the model before the update on the new rows, ± standard error",
            score_columns("rows of"),
            score_rows(report["sets"].items()),
        )
