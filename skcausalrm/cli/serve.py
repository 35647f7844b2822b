"""``skcausalrm serve``: a reward model over HTTP."""

import os
from pathlib import Path
from typing import Annotated

import typer

from .._utils._extras import import_extra
from ..exceptions import InvalidInputError
from ._console import progress
from ._server import is_loopback, listen, loopback_names, run

_TOKEN = "SKCAUSALRM_TOKEN"


def serve(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL", help="Text ONNX file written by `export --text`, or a model directory."
        ),
    ],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help=f"File with the bearer token; default: the variable {_TOKEN}, or no token.",
        ),
    ] = None,
    without_token: Annotated[
        bool,
        typer.Option(
            "--without-token", help="Allow other addresses than loopback without a token."
        ),
    ] = False,
    device: Annotated[
        str | None,
        typer.Option(help="cpu or cuda; default: cpu for a file, the best for a directory."),
    ] = None,
    max_batch: Annotated[int, typer.Option(min=1, help="Maximum rows per model call.")] = 128,
    max_queue: Annotated[
        int, typer.Option(min=1, help="Maximum rows waiting; further requests get 503.")
    ] = 1024,
    max_rows: Annotated[int, typer.Option(min=1, help="Maximum rows per request.")] = 1024,
    max_characters: Annotated[
        int, typer.Option(min=1, help="Maximum characters per row.")
    ] = 100_000,
) -> None:
    """Serve rewards over HTTP: /score, /rank, a page at /, and the routes of RLHF trainers.

    Prints the address on stdout once it listens. SIGTERM and Ctrl-C shut it down gracefully:
    accepted requests are answered first.
    """
    import_extra("uvicorn", extra="serve", purpose="serve")
    token = _read_token(token_file)
    if token is None and not is_loopback(host) and not without_token:
        raise InvalidInputError(
            f"Without a token anybody who reaches {host} could use the server: set {_TOKEN} or "
            f"--token-file, listen on 127.0.0.1, or pass --without-token."
        )

    from ..serving import ServerSettings, create_app, load_model

    names = loopback_names(host) if token is None and is_loopback(host) else None
    settings = ServerSettings(
        token=token,
        max_batch=max_batch,
        max_queue=max_queue,
        max_rows=max_rows,
        max_characters=max_characters,
        allowed_hosts=names,
    )
    loaded = load_model(model, device=device)
    app = create_app(loaded, settings)
    listening = listen(host, port)
    progress(f"serving {loaded.name}; Ctrl-C stops")
    run(app, listening, purpose="serve")


def _read_token(file: Path | None) -> str | None:
    token = os.environ.get(_TOKEN) if file is None else file.read_text().strip()
    if file is not None and not token:
        raise ValueError(f"{file} is empty: write the token into it.")
    return token or None
