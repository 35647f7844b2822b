"""``skcausalrm fit``: a model directory from feedback logs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from . import _options as options
from ._console import print_json, progress


@options.reads_logs()
def fit(
    ctx: typer.Context,
    logs: options.Logs,
    out: Annotated[Path, typer.Option(help="Model directory to write.", show_default=False)],
    model: options.EncoderName = options.DEFAULT_ENCODER,
    encoder_text: Annotated[
        Literal["auto", "pair", "last_turn", "answer", "apart"],
        typer.Option(
            help="Text of a row: auto is pair for decoders and reward models, and prompt and "
            "answer apart for other encoders."
        ),
    ] = "auto",
    max_length: Annotated[
        int | None,
        typer.Option(help="Maximum tokens of a text. Default: the encoder's.", show_default=False),
    ] = None,
    method: Annotated[
        Literal["auto", "selection", "dr", "snips", "ips", "noise", "naive"],
        typer.Option(help="Correction of the feedback: auto is selection wherever it is possible."),
    ] = "auto",
    head: Annotated[
        Literal["ridge", "mlp"] | None,
        typer.Option(
            help="Ridge regression or a torch network. Default: the mixture of selection, else "
            "ridge.",
            show_default=False,
        ),
    ] = None,
    false_positive_rate: options.FalsePositiveRate = None,
    false_negative_rate: options.FalseNegativeRate = None,
    base_rate: options.BaseRate = None,
    cache_dir: options.CacheDirectory = None,
    random_state: options.RandomState = 0,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Fit a reward model on feedback logs and save it with a report.

    The report's scores are out of fold: each prompt is scored by a model fitted without it.
    """
    known_rates = {
        "false_positive_rate": false_positive_rate,
        "false_negative_rate": false_negative_rate,
    }
    if base_rate is not None and method not in ("auto", "selection"):
        raise typer.BadParameter(
            f"--method {method} uses no base rate: leave it out, or choose selection."
        )
    named = options.of_sources(ctx)
    for name in ("instruments", "signals"):
        if named[name] and method not in ("auto", "selection"):
            raise typer.BadParameter(
                f"--method {method} uses no {name}: leave --{name} out, or choose selection."
            )
    if method == "naive" and set(known_rates.values()) != {None}:
        raise typer.BadParameter("--method naive corrects no flips: leave the flip rates out.")
    reads_judge = method in ("auto", "selection", "dr")
    if not reads_judge and ctx.params["judge_score_name"] is not None:
        raise typer.BadParameter(
            f"--method {method} uses no judge score: leave --judge-score-name out."
        )
    options.check_parent(out)
    options.check_saving(out, overwrite)

    from .. import CausalRewardRegressor, ConversationEncoder, NoiseOnly
    from ..export import save_model_directory
    from ..heads import MLPHead, RidgeHead
    from ..text._saved import encoder_settings
    from ._findings import findings_of_fit, print_findings
    from ._fit_report import model_facts, print_report, selection_facts, unused_sources
    from ._fitting import columns_read, correction, out_of_fold_scores
    from ._log_summary import summarise, summary_lines
    from ._logs import encode, join_names, read_log
    from ._prompts import pack_prompts
    from ._screen import harmless
    from ._sources import Named

    progress(f"reading {join_names(logs)}")
    log = read_log(logs, named=Named(**named), **options.of_logs(ctx))
    for name, text in summary_lines(summarise(log.frame, log.sources)):
        progress(f"  {name}: {harmless(text)}")
    columns = dict(log.columns)
    if not reads_judge and columns.pop("judge_score", None) is not None:
        progress(f"the column judge_score is used for the scores alone: {method} does not use it")
    if method in ("auto", "selection"):
        columns |= log.sources.columns
    encoder = ConversationEncoder(
        model, text=encoder_text, max_length=max_length, cache_dir=cache_dir
    )
    X = encode(encoder, log.text)
    progress(f"fitting {method}")
    heads = {"ridge": RidgeHead(), "mlp": MLPHead(), None: None}
    chosen = correction(method, known_rates, base_rate, log.y)
    if isinstance(chosen, NoiseOnly):  # for auto, too, where every row is rated
        columns = columns_read("noise", columns)
    reward = CausalRewardRegressor(chosen, heads[head], random_state=random_state).fit(
        X, log.y, groups=log.groups, users=log.users, **columns
    )
    for name, reason in unused_sources(reward):
        progress(f"  {name} {reason}")
    progress("scoring out of fold")
    findings = findings_of_fit(reward, X, log, encoder.truncated_answer_count_)
    report = {
        **log.counts(),
        "logs": [str(path) for path in logs],
        "method": method,
        **model_facts(reward),
        "selection": selection_facts(reward, X, log),
        "known_flip_rates": tuple(known_rates.values()),
        "known_base_rate": base_rate,
        "named": vars(log.sources.read_by(reward.method_)),
        **log.sources.facts(),
        "truncated_prompts": encoder.truncated_prompt_count_,
        "truncated_answers": encoder.truncated_answer_count_,
        "random_state": random_state,
        "findings": findings.to_dict(),
        "sets": out_of_fold_scores(reward, X, log, columns, known_rates),
        "warnings": ctx.obj,
    }
    save_model_directory(
        reward,
        out,
        encoder_settings=encoder_settings(encoder),
        report={**report, "training_prompts": pack_prompts(log.text)},
        overwrite=overwrite,
    )
    if as_json:
        print_json({"model_directory": str(out), **report})
    else:
        print_report(report)
        print_findings(findings, said=(report["selection"] or {}).get("advice_codes", ()))
        typer.echo(f"wrote {out}")
