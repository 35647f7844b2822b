"""``skcausalrm export``: the head of a model directory as one ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import _options as options
from ._console import print_json, print_table

__all__ = ["export"]


def export(
    model_dir: options.ModelDirectory,
    onnx: Annotated[Path, typer.Option(help="File to write.")],
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Copy the checked ONNX head out of a model directory.

    It takes embeddings, X (N, d) float32, and gives reward (N,) and score (N,), and where the head
    knows it reward_std (N,); its metadata say what it is.
    """
    options.check_parent(onnx)
    options.check_absent(onnx, overwrite)

    from ..export import RewardScorer, load_model_directory
    from ..export.files import write_atomically

    content = load_model_directory(model_dir).onnx
    metadata = RewardScorer(content).metadata_
    write_atomically(onnx, content)
    facts = {"onnx": str(onnx), "bytes": len(content), **metadata}
    if as_json:
        print_json(facts)
    else:
        built_with = facts.pop("created_with")
        rows = [*facts.items(), *((f"made with {name}", v) for name, v in built_with.items())]
        print_table("Exported", ["", "value"], [(name, str(value)) for name, value in rows])
