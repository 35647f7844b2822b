"""``skcausalrm score``: rewards for rows of text."""

from pathlib import Path
from typing import Annotated

import typer

from .._utils._atomic_files import write_atomically
from . import _options as options
from ._console import print_json, print_table

_SUFFIXES = (".jsonl", ".ndjson", ".csv", ".parquet")
_SUMMARY = {"mean": "mean", "lowest": "min", "highest": "max"}  # name to method of an array


def score(
    model_dir: options.ModelDirectory,
    rows: Annotated[
        Path,
        typer.Argument(
            metavar="ROWS",
            help="JSONL, JSON, CSV or Parquet with prompt and completion, or messages.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="File to write: .jsonl, .csv or .parquet. Default: stdout."),
    ] = None,
    column: Annotated[str, typer.Option(help="Name of the new column.")] = "reward",
    cache_dir: options.CacheDirectory = None,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Add a column of rewards to rows of text, in the same order.

    Without --out the rows are printed: as CSV if ROWS is CSV, else as JSON lines.
    With --out a summary is printed. --json prints JSON in both cases.
    """
    if out is not None:
        options.check_parent(out)
        if out.suffix.lower() not in _SUFFIXES:
            raise ValueError(
                f"{out} ends in {out.suffix!r}, but rows can be written to {', '.join(_SUFFIXES)}: "
                "choose one of these."
            )
        options.check_absent(out, overwrite)

    from ..export import load_model_directory
    from ..text._saved import load_encoder
    from ._logs import encode
    from ._rows import format_rows, read_rows

    model = load_model_directory(model_dir)
    found, text = read_rows(rows)
    if column in found.columns:
        raise ValueError(f"{rows} already has a column {column!r}: name the new one with --column.")
    encoder = load_encoder(model.encoder_settings, model_dir, cache_dir)
    rewards = model.scorer.predict(encode(encoder, text))
    found = found.assign(**{column: rewards})
    if out is None:
        as_csv = rows.name.lower().removesuffix(".gz").endswith(".csv") and not as_json
        typer.echo(format_rows(found, ".csv" if as_csv else ".jsonl"), nl=False)
        return
    write_atomically(out, format_rows(found, out.suffix.lower()))
    summary = {
        "rows": len(rewards),
        **{f"{name}_reward": float(getattr(rewards, f)()) for name, f in _SUMMARY.items()},
        "truncated_prompts": encoder.truncated_prompt_count_,
        "truncated_answers": encoder.truncated_answer_count_,
        "out": str(out),
    }
    if as_json:
        print_json(summary)
    else:
        print_table(
            "Scored",
            ["rows", *_SUMMARY],
            [[f"{len(rewards):,}", *(f"{summary[f'{name}_reward']:.3f}" for name in _SUMMARY)]],
        )
        typer.echo(f"wrote {out}")
