"""``skcausalrm demo``: naive against corrected rewards where the truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .._utils._extras import import_extra
from . import _options as options
from ._console import print_json, print_table, progress
from ._models import check_saving, encode

__all__ = ["demo"]

_FALSE_POSITIVE_RATE, _FALSE_NEGATIVE_RATE = 0.1, 0.2
_OBSERVED_RATE = 0.4  # encoding is what takes time, and rated rows are what methods differ on
_N_CHECKED = 50
_N_FOLDS = 5


def demo(
    out: Annotated[Path, typer.Option(help="Folder for model, log and picture.")] = Path("demo"),
    rows: Annotated[int, typer.Option(min=500, help="Answers in the generated log.")] = 4_000,
    seed: Annotated[int, typer.Option(help="Seed of log, folds and bootstrap.")] = 0,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Generate a feedback log with known truth, fit naive and corrected rewards, compare them.

    Writes into --out: model, fitted on train.jsonl; held_out.jsonl, prompts that it has not seen;
    and demo.png. The logs hold what a product would see. Needs no network.
    """
    written = {name: out / name for name in ("model", "train.jsonl", "held_out.jsonl", "demo.png")}
    options.check_parent(written["model"] if out.exists() else out)
    for path in written.values():
        options.check_absent(path, overwrite)
    check_saving(written["model"], overwrite)
    import_extra("matplotlib", extra="plot", purpose="The demo's picture")

    from .. import CausalRewardRegressor, ConversationEncoder
    from ..datasets import make_feedback_logs
    from ..export import save_model_directory
    from ..model_selection._cross_fitting import make_folds
    from ..text._saved import encoder_settings
    from ._picture import draw
    from ._prompts import pack_prompts
    from ._rows import save_rows
    from ._study import CEILING, CHECKED, candidates, compare, summarise

    progress(f"generating {rows:,} answers and the feedback on some of them")
    logs = make_feedback_logs(
        rows,
        false_positive_rate=_FALSE_POSITIVE_RATE,
        false_negative_rate=_FALSE_NEGATIVE_RATE,
        observed_rate=_OBSERVED_RATE,
        n_verified=_N_CHECKED,
        random_state=seed,
    )
    frame = logs.frame
    feedback = frame["feedback"].to_numpy(dtype=float)
    verified = frame["verified"].to_numpy(dtype=float)
    groups = frame["group"].to_numpy()
    encoder = ConversationEncoder()
    X = encode(encoder, frame[["prompt", "completion"]])
    progress("fitting every method on four fifths of the prompts, five times")
    folds = make_folds(X, feedback, groups, _N_FOLDS, seed)
    models = candidates(seed)
    outcomes = compare(
        X,
        {"feedback": feedback, "reward": logs.reward.astype(float)},
        verified,
        groups,
        models,
        folds,
    )
    progress("fitting the model to keep")
    train = folds.of_row != 0
    kept = CausalRewardRegressor(random_state=seed).fit(
        X[train], feedback[train], groups=groups[train], verified=verified[train]
    )
    result: dict[str, Any] = {
        "rows": rows,
        "prompts": int(frame["group"].nunique()),
        "rated": int(frame["feedback"].notna().sum()),
        "positive_share_of_rated": float(frame["feedback"].mean()),
        "true_mean_reward": float(logs.reward.mean()),
        "best_possible_r2": _r2(logs.reward, logs.probability),
        "methods": summarise(outcomes),
        "estimated_flip_rates": [
            kept.selection_model_.false_positive_rate_,
            kept.selection_model_.false_negative_rate_,
        ],
        "advice": kept.selection_report_["advice"],
        "true_flip_rates": [_FALSE_POSITIVE_RATE, _FALSE_NEGATIVE_RATE],
    }
    out.mkdir(parents=True, exist_ok=True)
    save_model_directory(
        kept,
        written["model"],
        encoder_settings=encoder_settings(encoder),
        report={**result, "training_prompts": pack_prompts(frame[train])},
        overwrite=overwrite,
    )
    for name, part in (("train.jsonl", train), ("held_out.jsonl", ~train)):
        save_rows(frame[part], written[name])
    draw(
        written["demo.png"],
        {name: outcomes[name].prediction for name in ("naive", "selection", CHECKED)},
        probability=logs.probability,
        feedback=feedback,
        writer=frame["model"].to_numpy(),
    )
    if as_json:
        print_json({**result, "written": {name: str(path) for name, path in written.items()}})
        return
    _print_result(result, CEILING)
    typer.echo("wrote " + ", ".join(map(str, written.values())))
    typer.echo(
        f"next: skcausalrm evaluate {written['model']} {written['held_out.jsonl']}\n"
        f"To check answers yourself: skcausalrm label {written['train.jsonl']} --out labels.jsonl"
    )


def _r2(truth, prediction) -> float:
    from sklearn.metrics import r2_score

    return float(r2_score(truth, prediction))


def _print_result(result: dict[str, Any], ceiling: str) -> None:
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
    (fpr, fnr), (true_fpr, true_fnr) = result["estimated_flip_rates"], result["true_flip_rates"]
    typer.echo(
        f"Scores are against the true rewards, mean ± standard deviation over five folds of "
        f"prompts; {ceiling!r} is what no log gives, and knowing each text's true probability "
        f"would score R2 {result['best_possible_r2']:.3f}.\n"
        f"Flip rates: estimated {fpr:.3f} and {fnr:.3f}, true {true_fpr} and {true_fnr} "
        f"(false positive, false negative).\n"
        f"{_N_CHECKED} answers of the log, drawn at random, carry their true reward, as a person "
        f"gives it with `skcausalrm label`. The kept model has those of its prompts, and says: "
        f"{result['advice']}"
    )
