"""Thumbs and an LLM judge's scores against the verified rows of a log, for `inspect`."""

from typing import Any

import pandas as pd

from ..exceptions import FeedbackError
from ..inspection import judge_report
from ._sources import Sources

_TITLE = "Against verified rows (90% intervals; good: share of the judged rows, corrected)"
_COLUMNS = ("", "judged", "verified", "pass", "good", "sensitivity", "specificity", "kappa")
_RATES = ("pass_rate", "good_rate", "sensitivity", "specificity")


def compare_judges(frame: pd.DataFrame, sources: Sources) -> dict[str, dict[str, Any]]:
    """Return what `judge_report` says of thumbs and of the column judge_score, as JSON can hold it.

    Empty where no row is verified. A judge that shares too few rows with them has a "reason".
    """
    if "verified" not in frame.columns or not frame["verified"].notna().any():
        return {}
    found: dict[str, dict[str, Any]] = {}
    for name, column in (("thumbs", "feedback"), ("judge_score", "judge_score")):
        if column not in frame.columns or not frame[column].notna().any():
            continue
        try:
            report = judge_report(
                frame[column].to_numpy(dtype="float64", na_value=float("nan")),
                frame["verified"].to_numpy(dtype="float64", na_value=float("nan")),
                groups=frame["group"].to_numpy() if "group" in frame.columns else None,
                users=sources.users,
            )
        except FeedbackError as error:
            found[name] = {"reason": str(error)}
            continue
        rates = {rate: getattr(report, rate) for rate in (*_RATES, "corrected_pass_rate")}
        found[name] = {
            "judged": report.pass_rate.n,
            "verified": report.verified_rate.n,
            "threshold": report.threshold,
            **{rate: [value.value, value.low, value.high] for rate, value in rates.items()},
            "kappa": report.kappa,
            "roc_auc": report.auroc.score,
        }
    return found


def judge_table(judges: dict[str, dict[str, Any]]) -> tuple[str, tuple[str, ...], list[tuple]]:
    """Return title, columns and rows of the table of `compare_judges`."""
    rows = []
    for name, found in judges.items():
        if "reason" in found:
            rows.append((name, found["reason"], *[""] * (len(_COLUMNS) - 2)))
            continue
        shares = (f"{v:.3f} [{low:.3f}, {high:.3f}]" for v, low, high in map(found.get, _RATES))
        counts = f"{found['judged']:,}", f"{found['verified']:,}"
        rows.append((name, *counts, *shares, f"{found['kappa']:.2f}"))
    return _TITLE, _COLUMNS, rows
