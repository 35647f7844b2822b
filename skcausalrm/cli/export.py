"""``skcausalrm export``: a model directory as one ONNX file, of embeddings or of text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from . import _options as options
from ._console import print_json, print_table, progress

__all__ = ["export"]


def export(
    model_dir: options.ModelDirectory,
    onnx: Annotated[Path, typer.Option(help="File to write.")],
    text: Annotated[
        bool,
        typer.Option(
            "--text", help="Put the encoder in too: the file scores text, its tokenizer beside it."
        ),
    ] = False,
    precision: Annotated[
        str | None,
        typer.Option(
            help="Of the encoder, with --text: float32, float16, int8 or int8-weights; "
            "default: float32.",
            show_default=False,
        ),
    ] = None,
    sample: Annotated[
        Path | None,
        typer.Option(
            metavar="ROWS",
            help="With --text: rows like those to be scored, on which agreement is measured "
            "(the first 500); default: texts that the package generates.",
            show_default=False,
        ),
    ] = None,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Write the reward of a model directory to one ONNX file.

    It takes embeddings, X (N, d) float32, and gives reward (N,) and score (N,), and where the head
    knows it reward_std (N,); its metadata say what it is. With --text it takes token ids, and
    `serve` and RewardScorer take text.
    """
    options.check_parent(onnx)
    options.check_absent(onnx, overwrite)
    if not text and (precision is not None or sample is not None):
        raise ValueError("--precision and --sample are of text files: add --text.")

    from ..export import RewardScorer, load_model_directory

    model = load_model_directory(model_dir)
    if text:
        _export_text(model, model_dir, onnx, precision or "float32", sample)
    else:
        from .._utils._atomic_files import write_atomically

        write_atomically(onnx, model.onnx)
    scorer = RewardScorer.load(onnx)
    facts = {"onnx": str(onnx), "bytes": onnx.stat().st_size, **scorer.metadata_}
    if as_json:
        print_json(facts)
    else:
        print_table("Exported", ["", "value"], list(_lines(facts)))


def _export_text(model, model_dir: Path, onnx: Path, precision: str, sample: Path | None) -> None:
    from ..export import text_to_onnx
    from ..text._saved import load_encoder

    rows = None
    if sample is not None:
        from ._logs import read_rows

        rows = read_rows(sample)[1][:500]
    encoder = load_encoder(model.encoder_settings, model_dir, None)
    progress(f"tracing {encoder.model} and comparing rewards")
    text_to_onnx(model, encoder, onnx, precision=precision, sample=rows)


def _lines(facts: dict[str, Any]):
    """Facts as rows of a table; those of a part are named after it."""
    for name, value in facts.items():
        if isinstance(value, dict):
            inner = {
                f"made with {key}" if name == "created_with" else f"{name} {key}": part
                for key, part in value.items()
            }
            yield from _lines(inner)
        elif value is not None:
            text = f"{value:.4g}" if isinstance(value, float) else str(value)
            yield name.replace("_", " "), text
