"""Reward, share rated and level over time, in print, and the exit status of an alarm."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import typer

from ..inspection._watch import MIN_ROWS
from ._console import print_table

# Exit status of an alarm, unlike those of a failure and of bad usage.
ALARM_STATUS = 3


def is_alarm(found: Mapping[str, Any]) -> bool:
    """Return True if reward, share rated or level have moved."""
    return any(change is not None and change["alarm"] for change in found["changes"].values())


def print_watched(found: Mapping[str, Any]) -> None:
    """Print the figures of each period as a table, and the verdict."""
    columns = ["", "rows", "rated", "liked", "reward", "level"]
    print_table("Over time (UTC), 90% intervals", columns, map(_line, found["periods"]))
    if found["rows_left_out"]:
        typer.echo(
            f"{found['rows_left_out']} rows wait for their period to have {MIN_ROWS} rows, and are "
            f"left out."
        )
    if found["rows_without_time"]:
        typer.echo(f"{found['rows_without_time']} rows have no time, and are left out.")
    typer.echo(found["verdict"])


def _line(period: Mapping[str, Any]) -> list[str]:
    n = period["calendar_periods"]
    share, liked = period["share_rated"], period["share_liked"]
    return [
        period["name"] + (f" (+{n - 1})" if n > 1 else ""),
        f"{period['rows']:,}",
        _interval(share, ".3f"),
        "-" if liked is None else _interval(liked, ".2f"),
        _interval(period["reward"], ".3f"),
        "-" if period["level"] is None else _interval(period["level"], ".2f"),
    ]


def _interval(found: Mapping[str, float], form: str) -> str:
    return f"{found['value']:{form}} ({found['low']:{form}} to {found['high']:{form}})"


def since_fit(
    report: Mapping[str, Any], prediction: np.ndarray, rated: np.ndarray
) -> dict[str, dict[str, float]]:
    """Return mean reward and share rated at the fit, as far as it kept them, and in this log."""
    then = {
        "reward": report.get("sets", {}).get("log", {}).get("mean_prediction"),
        "share_rated": report.get("rated_share"),
    }
    now = {"reward": float(prediction.mean()), "share_rated": float(rated.mean())}
    return {
        name: {"fit": then[name], "now": value, "change": value - then[name]}
        for name, value in now.items()
        if then[name] is not None
    }
