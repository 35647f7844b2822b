"""``skcausalrm serve``: a reward model over HTTP."""

import ipaddress
import os
import signal
import socket
from pathlib import Path
from typing import Annotated, Any

import typer

from .._utils._extras import import_extra
from ..exceptions import InvalidInputError
from ._console import progress

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
    uvicorn: Any = import_extra("uvicorn", extra="serve", purpose="serve")
    token = _read_token(token_file)
    if token is None and not _is_loopback(host) and not without_token:
        raise InvalidInputError(
            f"Without a token anybody who reaches {host} could use the server: set {_TOKEN} or "
            f"--token-file, listen on 127.0.0.1, or pass --without-token."
        )

    from ..serving import ServerSettings, create_app, load_model

    # "[" is the host that Starlette reads from an IPv6 address
    names = ("localhost", "127.0.0.1", "[", host) if token is None and _is_loopback(host) else None
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
    listening = _listen(host, port)
    address = listening.getsockname()
    shown = f"[{address[0]}]" if ":" in address[0] else address[0]
    progress(f"serving {loaded.name}; Ctrl-C stops")
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)

    class Server(uvicorn.Server):
        """Server that prints its address when it has started."""

        async def startup(self, sockets=None):
            await super().startup(sockets)
            if self.started:
                typer.echo(f"http://{shown}:{address[1]}")

    server = Server(config)
    for number in (signal.SIGINT, signal.SIGTERM):
        # uvicorn raises the signal again after the shutdown: the exit status would not be 0
        signal.signal(number, signal.SIG_IGN)
    server.run(sockets=[listening])
    if not server.started:
        raise RuntimeError("The server did not start: read the reason above.")


def _read_token(file: Path | None) -> str | None:
    token = os.environ.get(_TOKEN) if file is None else file.read_text().strip()
    if file is not None and not token:
        raise ValueError(f"{file} is empty: write the token into it.")
    return token or None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=2048)
    except OSError as error:
        raise ValueError(
            f"The server cannot listen on {host} port {port} ({error.strerror}): choose another "
            "--port."
        ) from error
