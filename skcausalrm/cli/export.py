"""``skcausalrm export``: one ONNX file that scores embeddings or text."""

from pathlib import Path
from typing import Annotated, Any

import typer

from .._utils._atomic_files import write_atomically
from . import _options as options
from ._console import print_json, print_table, progress


def export(
    model_dir: options.ModelDirectory,
    onnx: Annotated[Path, typer.Option(help="File to write.")],
    text: Annotated[
        bool,
        typer.Option(
            "--text", help="Include the encoder: the file scores text, its tokenizer is next to it."
        ),
    ] = False,
    precision: Annotated[
        str | None,
        typer.Option(
            help="Encoder precision, with --text: float32, float16, int8 or int8-weights; "
            "default: float32.",
            show_default=False,
        ),
    ] = None,
    sample: Annotated[
        Path | None,
        typer.Option(
            metavar="ROWS",
            help="With --text: rows like the rows to be scored; rewards of the file and the model "
            "are compared on the first 500. Default: generated texts.",
            show_default=False,
        ),
    ] = None,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Write the reward model to one ONNX file.

    Input: embeddings X (N, d) float32. Outputs: reward (N,), score (N,) and, if the head has it,
    reward_std (N,). The metadata describe the model. With --text the input is token ids;
    `serve` and RewardScorer then take text.
    """
    options.check_parent(onnx)
    options.check_absent(onnx, overwrite)
    if not text and (precision is not None or sample is not None):
        raise ValueError("--precision and --sample need the encoder in the file: add --text.")

    from ..export import RewardScorer, load_model_directory

    model = load_model_directory(model_dir)
    if text:
        from ..export import text_to_onnx
        from ..text._saved import load_encoder
        from ._rows import read_rows

        rows = None if sample is None else read_rows(sample)[1][:500]
        encoder = load_encoder(model.encoder_settings, model_dir, None)
        progress(f"tracing {encoder.model} and comparing rewards")
        text_to_onnx(model, encoder, onnx, precision=precision or "float32", sample=rows)
    else:
        write_atomically(onnx, model.onnx)
    scorer = RewardScorer.load(onnx)
    facts = {"onnx": str(onnx), "bytes": onnx.stat().st_size, **scorer.metadata_}
    if as_json:
        print_json(facts)
    else:
        print_table("Exported", ["", "value"], _lines(facts))


def _lines(facts: dict[str, Any]):
    """Yield facts as rows of a table; nested facts are prefixed with their part's name."""
    for name, value in facts.items():
        if isinstance(value, dict):
            yield from _lines({f"{name} {key}": part for key, part in value.items()})
        elif value is not None:
            text = f"{value:.4g}" if isinstance(value, float) else str(value)
            yield name.replace("_", " "), text
