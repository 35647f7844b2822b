"""``skcausalrm threshold``: from which reward on few enough answers are bad, kept in the model."""

from __future__ import annotations

from typing import Annotated

import typer

from ..exceptions import FeedbackError
from . import _options as options
from ._console import print_json, progress


@options.reads_logs()
def threshold(
    ctx: typer.Context,
    model_dir: options.ModelDirectory,
    logs: options.Logs,
    max_bad: Annotated[
        float, typer.Option(help="Allowed share of bad answers among those accepted.")
    ] = 0.1,
    confidence: Annotated[float, typer.Option(help="Probability with which that holds.")] = 0.9,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Leave the model directory as it is.")
    ] = False,
    cache_dir: options.CacheDirectory = None,
    as_json: options.AsJson = False,
) -> None:
    """Find the reward from which on few enough answers are bad, and keep it in the model.

    It rests on the verified answers of the logs (--verified), 100 to 200 drawn at random that `fit`
    has not seen. Files exported from the model directory have the threshold too, and `serve` says
    of each answer whether it is accepted. Without one at this risk the exit status is 2.
    """
    from ..export import keep_threshold, load_model_directory
    from ..inference import threshold_for
    from ..text._saved import load_encoder
    from ._logs import encode, join_names, read_log
    from ._prompts import count_shared
    from ._sources import Named

    model = load_model_directory(model_dir)
    report = model.report or {}
    name = join_names(logs)
    progress(f"reading {name}")
    named, of_model = Named(**options.of_sources(ctx)), Named(**report.get("named", {}))
    log = read_log(logs, named=named, of_model=of_model, **options.of_logs(ctx))
    verified = log.columns.get("verified")
    if verified is None:
        raise FeedbackError(
            f"{name} has no verified answers, and a threshold rests on these alone: judge 100 to "
            f"200 with `skcausalrm label` and pass them as --verified."
        )
    shared = count_shared(log.text, report.get("training_prompts"))
    X = encode(load_encoder(model.encoder_settings, model_dir, cache_dir), log.text)
    found = threshold_for(
        model.scorer,
        X,
        verified=verified,
        max_bad=max_bad,
        confidence=confidence,
        verified_propensity=log.verified_propensity,
    )
    if not dry_run:
        keep_threshold(model_dir, found)
    if as_json:
        kept = {"model_directory": str(model_dir), "kept": not dry_run, "shared_prompts": shared}
        print_json({**log.counts(), **kept, **found.as_dict(), "warnings": ctx.obj})
        return
    typer.echo(
        f"Answers with a reward of at least {found.threshold:.3f} are accepted: "
        f"{found.accepted_share:.0%} of {len(verified):,}. With {100 * confidence:g}% confidence "
        f"at most {100 * max_bad:g}% of such answers are bad ({found.n_bad} of "
        f"{found.n_accepted} verified ones are)."
    )
    typer.echo("Nothing was changed." if dry_run else f"Kept in {model_dir}.")
