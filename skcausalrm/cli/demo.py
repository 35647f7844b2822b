"""``skcausalrm demo``: naive against corrected rewards where the truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._utils._extras import import_extra
from . import _options as options
from ._console import print_json, print_table, progress
from ._models import check_saving, encode

if TYPE_CHECKING:
    import numpy as np
    from sklearn.utils import Bunch

__all__ = ["demo"]

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
        check_saving(paths["model"], overwrite)
        import_extra("matplotlib", extra="plot", purpose="The demo's picture")

    from ._study import make_log

    progress(f"generating {rows:,} answers and the feedback on some of them")
    logs = make_log(rows, seed)
    # A fifth of the prompts is held out.
    fold = logs.frame["group"].to_numpy() % _N_FOLDS
    verified = _write_logs(logs, fold != 0, out, paths)
    if logs_only:
        result: dict[str, Any] = {"rows": rows}
    else:
        result = _compare_and_keep(logs, fold, verified, paths, seed, overwrite)
    if as_json:
        print_json({**result, "written": {name: str(path) for name, path in paths.items()}})
        return
    if not logs_only:
        _print_result(result)
    typer.echo("wrote " + ", ".join(map(str, paths.values())))
    typer.echo(_next_commands(paths))


def _write_logs(logs: Bunch, train: np.ndarray, out: Path, paths: dict[str, Path]) -> np.ndarray:
    """Write the two logs and the label file, and return the judgements of the log to fit on."""
    from ._rows import save_rows
    from ._study import write_labels

    out.mkdir(parents=True, exist_ok=True)
    frame = logs.frame.drop(columns="verified")
    for name, part in (("logs.jsonl", train), ("held_out.jsonl", ~train)):
        save_rows(frame[part], paths[name])
    return write_labels(paths["labels.jsonl"], frame[train], logs.reward[train])


def _compare_and_keep(
    logs: Bunch,
    fold: np.ndarray,
    verified: np.ndarray,
    paths: dict[str, Path],
    seed: int,
    overwrite: bool,
) -> dict[str, Any]:
    """Compare the methods on prompts not fitted on, and write the model and the picture."""
    from sklearn.metrics import r2_score

    from .. import CausalRewardRegressor, ConversationEncoder
    from ..export import save_model_directory
    from ..model_selection._cross_fitting import Folds
    from ..text._saved import encoder_settings
    from ._picture import draw
    from ._prompts import pack_prompts
    from ._study import CHECKED, FLIP_RATES, candidates, compare, means_by_manner, summarise

    frame = logs.frame
    feedback, checked, groups = (
        frame[name].to_numpy() for name in ("feedback", "verified", "group")
    )
    encoder = ConversationEncoder()
    X = encode(encoder, frame[["prompt", "completion"]])
    progress(f"fitting every method {_N_FOLDS} times, each time without a fifth of the prompts")
    labels = {"feedback": feedback, "reward": logs.reward}
    folds = Folds(fold, _N_FOLDS, groups)
    outcomes = compare(X, labels, checked, groups, candidates(seed), folds)
    progress("fitting the model to keep")
    train = fold != 0
    kept = CausalRewardRegressor(random_state=seed).fit(
        X[train], feedback[train], groups=groups[train], verified=verified
    )
    selection = kept.nuisances_.selection_model
    predictions = {
        "naive": outcomes["naive"].prediction,
        f"corrected ({CHECKED.partition(', ')[2]})": outcomes[CHECKED].prediction,
    }
    kinds = means_by_manner(predictions, logs.probability, logs.manner)
    result: dict[str, Any] = {
        "rows": len(frame),
        "prompts": int(frame["group"].nunique()),
        "rated": int(frame["feedback"].notna().sum()),
        "positive_share_of_rated": float(frame["feedback"].mean()),
        "true_mean_reward": float(logs.reward.mean()),
        "best_possible_r2": float(r2_score(logs.reward, logs.probability)),
        "methods": summarise(outcomes),
        "kinds_of_answers": kinds,
        "estimated_flip_rates": [
            selection.false_positive_rate_,
            selection.false_negative_rate_,
        ],
        "true_flip_rates": list(FLIP_RATES),
    }
    save_model_directory(
        kept,
        paths["model"],
        encoder_settings=encoder_settings(encoder),
        report={**result, "training_prompts": pack_prompts(frame[train])},
        overwrite=overwrite,
    )
    draw(paths["demo.png"], predictions, probability=logs.probability, kinds=kinds)
    return result


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
                *(
                    f"{scores[key]['mean']:.3f} ± {scores[key]['std']:.3f}"
                    for key in ("r2", "roc_auc", "mean_prediction")
                ),
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
            [kind["answers"], *(f"{value:.2f}" for value in list(kind.values())[1:])]
            for kind in kinds
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
