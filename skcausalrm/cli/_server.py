"""An application on a socket: the address is printed once it listens; signals end it gracefully."""

import ipaddress
import signal
import socket
from typing import Any

import typer

from .._utils._extras import import_extra


def is_loopback(host: str) -> bool:
    """Return True if only this machine reaches the host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def loopback_names(host: str) -> tuple[str, ...]:
    """Return the names by which this machine is asked; "[" is what old Starlettes read of IPv6."""
    return ("localhost", "127.0.0.1", "[", "[::1]", host, f"[{host}]")


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises
    ------
    ValueError
        If the address is taken or not this machine's.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=2048)
    except OSError as error:
        raise ValueError(
            f"The server cannot listen on {host} port {port} ({error.strerror}): choose another "
            "--port."
        ) from error


def run(app: Any, listening: socket.socket, *, purpose: str, path: str = "") -> None:
    """Serve until a signal, and print the address on stdout, with a path, once it listens."""
    uvicorn: Any = import_extra("uvicorn", extra="serve", purpose=purpose)
    address = listening.getsockname()
    shown = f"[{address[0]}]" if ":" in address[0] else address[0]
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)

    class Server(uvicorn.Server):
        """Server that prints its address when it has started."""

        async def startup(self, sockets=None):
            await super().startup(sockets)
            if self.started:
                typer.echo(f"http://{shown}:{address[1]}{path}")

    server = Server(config)
    for number in (signal.SIGINT, signal.SIGTERM):
        # uvicorn raises the signal again after the shutdown: the exit status would not be 0
        signal.signal(number, signal.SIG_IGN)
    server.run(sockets=[listening])
    if not server.started:
        raise RuntimeError("The server did not start: read the reason above.")
