"""``skcausalrm demo``: naive against corrected rewards where the truth is known."""

from pathlib import Path
from typing import Annotated, Any

import typer

from .._utils._extras import import_extra
from . import _options as options
from ._console import print_json, print_table, progress

_N_FOLDS = 5
_LOGS = ("logs.jsonl", "labels.jsonl", "held_out.jsonl")
_RESULTS = ("model", "demo.png")


def demo(
    out: Annotated[Path, typer.Option(help="Folder of all outputs.")] = Path("demo"),
    rows: Annotated[int, typer.Option(min=500, help="Answers in the generated log.")] = 4_000,
    seed: Annotated[int, typer.Option(help="Seed of log, folds and bootstrap.")] = 0,
    logs_only: Annotated[
        bool, typer.Option("--logs-only", help="Write the logs and stop, which takes a second.")
    ] = False,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Generate a feedback log with known truth, and compare naive with corrected rewards.

    Writes into --out:

    logs.jsonl, the log that a product would have;
    labels.jsonl, fifty of its answers judged as `skcausalrm label` would ask for them;
    held_out.jsonl, a log of other prompts;
    model, fitted on the log and the labels;
    demo.png, the comparison.

    The log is made so that a small encoder can see quality. Needs no network.
    """
    paths = {name: out / name for name in (_LOGS if logs_only else _LOGS + _RESULTS)}
    options.check_parent(paths["logs.jsonl"] if out.exists() else out)
    for path in paths.values():
        options.check_absent(path, overwrite)
    if not logs_only:
        options.check_saving(paths["model"], overwrite)
        import_extra("matplotlib", extra="plot", purpose="The demo's picture")

    from ..model_selection._cross_fitting import Folds
    from ._study import compare_and_keep, make_log, write_logs

    progress(f"generating {rows:,} answers and the feedback on some of them")
    logs = make_log(rows, seed)
    groups = logs.frame["group"].to_numpy()
    folds = Folds(groups % _N_FOLDS, _N_FOLDS, groups)  # the first one is held out
    out.mkdir(exist_ok=True)
    verified = write_logs(logs, folds.of_row != 0, paths)
    result: dict[str, Any] = {"rows": rows}
    if not logs_only:
        result = compare_and_keep(logs, folds, verified, paths, seed, overwrite)
    if as_json:
        print_json({**result, "written": {name: str(path) for name, path in paths.items()}})
        return
    if not logs_only:
        _print_result(result)
    typer.echo("wrote " + ", ".join(map(str, paths.values())))
    typer.echo(_next_commands(paths))


def _print_result(result: dict[str, Any]) -> None:
    from ._study import CEILING, N_CHECKED

    truth = result["true_mean_reward"]
    print_table(
        f"{result['rows']:,} answers to {result['prompts']:,} prompts, {result['rated']:,} rated, "
        f"{result['positive_share_of_rated']:.3f} of these positive; true mean {truth:.3f}",
        ["fitted on prompts not scored here", "R2", "AUROC", "mean reward", "off by"],
        [
            [
                name,
                *(f"{score['mean']:.3f} ± {score['std']:.3f}" for score in scores.values()),
                f"{scores['mean_prediction']['mean'] - truth:+.3f}",
            ]
            for name, scores in result["methods"].items()
        ],
    )
    kinds = result["kinds_of_answers"]
    print_table(
        "Mean reward by kind of answer",
        list(kinds[0]),
        [
            [answers, *(f"{value:.2f}" for value in numbers)]
            for answers, *numbers in map(dict.values, kinds)
        ],
    )
    (fpr, fnr), (true_fpr, true_fnr) = result["estimated_flip_rates"], result["true_flip_rates"]
    typer.echo(
        f"Scores are against the true rewards, mean ± standard deviation over {_N_FOLDS} folds of "
        f"prompts. No log gives {CEILING!r}. The true probability of each text would score R2 "
        f"{result['best_possible_r2']:.3f}.\n"
        f"Flip rates: estimated {fpr:.3f} and {fnr:.3f}, true {true_fpr} and {true_fnr} "
        f"(false positive, false negative).\n"
        f"{N_CHECKED} answers, drawn at random, are checked: they carry their true reward, as if a "
        f"person had judged them with `skcausalrm label`.\n"
        f"This log is made so that a small encoder can see quality. Yours may need a stronger one."
    )


def _next_commands(paths: dict[str, Path]) -> str:
    log, labels, held_out = (paths[name] for name in _LOGS)
    if "model" in paths:
        return f"next: skcausalrm evaluate {paths['model']} {held_out}"
    return (
        f"next: skcausalrm fit {log} --verified {labels} --out model\n"
        f"      skcausalrm evaluate model {held_out}"
    )
