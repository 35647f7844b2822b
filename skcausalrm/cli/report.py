"""``skcausalrm report``: one HTML page on what a model says, and why it can be believed."""

import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from . import _options as options
from ._console import print_json, progress


@options.reads_logs()
def report(
    ctx: typer.Context,
    model_dir: options.ModelDirectory,
    logs: options.Logs,
    out: Annotated[Path, typer.Option(help="HTML page to write.", show_default=False)],
    by: Annotated[
        str, typer.Option(help="Column that names the system behind each answer.")
    ] = "model",
    title: Annotated[str, typer.Option(help="Title of the page.")] = "Can this reward be trusted?",
    cache_dir: options.CacheDirectory = None,
    random_state: options.RandomState = 0,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Write a page on a model and logs: the answer, findings, pictures, and what differs.

    First the systems of the logs with the share of good answers, then what there is to see to, the
    evidence in pictures, and the answers on which raw thumbs and this model differ most. The
    evidence is computed by fitting the model's method on these logs. The page loads nothing, runs
    nothing, and holds texts of the logs: share it with those who may read them.
    """
    options.check_parent(out)
    options.check_absent(out, overwrite)
    from .._utils._atomic_files import write_atomically
    from .._utils._extras import import_extra
    from ..exceptions import UnusedParameterError
    from ..export import load_model_directory
    from ..text._saved import load_encoder
    from ._logs import encode, join_names, read_log
    from ._report_page import check_jinja, render_page
    from ._sources import Named, find_column

    check_jinja()
    import_extra("matplotlib", extra="report", purpose="`skcausalrm report`")
    model = load_model_directory(model_dir)
    fit = model.report or {}
    name = join_names(logs)
    progress(f"reading {name}")
    log = read_log(
        logs,
        named=Named(**options.of_sources(ctx)),
        of_model=Named(**fit.get("named", {})),
        **options.of_logs(ctx),
    )
    systems = find_column(log.frame, by)
    if systems is None and by != "model":
        raise UnusedParameterError(
            f"--by names {by}, but {name} has the columns {', '.join(map(str, log.frame.columns))}."
        )
    encoder = load_encoder(model.encoder_settings, model_dir, cache_dir)
    X = encode(encoder, log.text)
    parts, facts = gather(
        model, X, log, systems, encoder.truncated_answer_count_, list(map(str, logs)), random_state
    )
    page = render_page({"title": title, **parts})
    write_atomically(out, page)
    facts = {"out": str(out), "bytes": len(page), **facts}
    if as_json:
        print_json({**facts, "warnings": ctx.obj})
    else:
        typer.echo(parts["answer"]["headline"])
        for one in parts["findings"]:
            typer.echo(f"{one.code} {one.title} ({one.severity}): {one.text}")
        typer.echo(f"wrote {out}")


def gather(
    model: Any, X, log, systems, n_shortened: int, logs: list[str], random_state: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the parts of the page, and facts for JSON.

    Parameters
    ----------
    model : ModelDirectory
    X : ndarray of shape (n, d)
    log : FeedbackLog
    systems : Series or None
    n_shortened : int
        Answers that the encoder has shortened.
    logs : list of str
        Names of the logs.
    random_state : int

    Raises
    ------
    InvalidInputError
        If no row is rated.
    """
    from ..exceptions import InvalidInputError, SkcausalrmWarning
    from . import _report_parts as parts
    from ._findings import findings_of_fit
    from ._prompts import count_shared
    from ._pseudo_outcomes import RATES
    from ._report_basis import find_assumptions, find_versions

    if not (counts := log.counts())["rated"]:
        raise InvalidInputError(
            f"None of the {counts['rows']} rows is rated, so there is nothing to report on: pass "
            "logs with feedback."
        )
    prediction = model.scorer.predict(X)
    fit = model.report or {}
    known_rates = dict(zip(RATES, fit.get("known_flip_rates", (None, None)), strict=True))
    base_rate = fit.get("known_base_rate")
    base_rate = tuple(base_rate) if isinstance(base_rate, list) else base_rate
    method = model.config["method"]
    progress(f"fitting {method} on these logs")
    refit = parts.Refit(X, log, method, known_rates, base_rate, random_state)
    if refit.reward is None:
        progress(f"  {method} was not fitted: {refit.reason}")
    progress("looking for findings")
    findings = findings_of_fit(refit.reward, X, log, n_shortened)
    answer = parts.find_answer(refit, X, log, systems)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkcausalrmWarning)  # a caption tells
        n_shared = count_shared(log.text, fit.get("training_prompts")) or 0
    progress("drawing pictures")
    page = {
        "subtitle": f"{counts['rows']:,} answers, {counts['rated']:,} rated "
        f"({counts['rated_share']:.0%}); by {method}",
        "answer": answer,
        "findings": findings,
        "pictures": parts.find_pictures(refit, X, log, prediction, n_shared),
        "differing": parts.find_differing(X, log, prediction, systems, random_state),
        "assumptions": find_assumptions(method, findings),
        "versions": find_versions(model.config, log, logs),
    }
    facts = {
        **counts,
        "answer": {"headline": answer["headline"], "systems": answer["rows"]},
        "findings": findings.to_dict(),
        "pictures": [picture.title for picture in page["pictures"]["shown"]],
    }
    return page, facts
