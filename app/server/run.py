"""The server: uvicorn around the application, in one process or several."""

import errno
import os
import socket
import tempfile
from collections.abc import Sequence
from typing import Any

import uvicorn
from prometheus_client.multiprocess import mark_process_dead
from uvicorn.supervisors import Multiprocess

from foodscene.app.server import logs
from foodscene.app.server.drain import ANSWERS_SECONDS
from foodscene.app.server.protocol import Protocol
from foodscene.app.settings import Settings, SettingsError

_BACKLOG = 2048
"""Connections that wait to be accepted, as uvicorn has it."""


def bind(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen at every address of a host, at one port; a free one where it is 0.

    Raises `SettingsError` where somebody else listens there, or nobody may.
    """
    sockets: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        places = list(dict.fromkeys((family, place) for family, _, _, _, place in found))
        for number, (family, place) in enumerate(places, start=1):
            try:
                one = _listening(family, (place[0], port, *place[2:]), alone=len(places) == 1)
            except OSError as error:
                # localhost has an address of IPv6 in many a container that has no IPv6.
                if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT) and (sockets or number < len(places)):
                    continue
                raise
            sockets.append(one)
            port = one.getsockname()[1]
    except OSError as error:
        for one in sockets:
            one.close()
        raise SettingsError(_refusal(host, port, error)) from None
    return sockets


def _listening(family: int, place: tuple[Any, ...], *, alone: bool) -> socket.socket:
    one = socket.socket(family)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not alone)  # `::` alone takes IPv4, too
        one.bind(place)
        one.listen(_BACKLOG)  # now, as a second process may bind to it until then
        one.set_inheritable(True)
    except OSError:
        one.close()
        raise
    return one


def shown(host: str, sockets: Sequence[socket.socket]) -> str:
    """The address of a service, for a browser."""
    return f"http://{f'[{host}]' if ':' in host else host}:{sockets[0].getsockname()[1]}"


def _refusal(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        other = port + 1 if port < 65535 else 0
        return f"Another program listens at {host}, port {port}. Stop it, or take another port: --port {other}"
    if error.errno == errno.EACCES:
        return f"This user may not listen at port {port}: ports below 1024 are the system's. Take another: --port 8000"
    return f"{host} is no address to listen on here: {error.strerror}. Take one of this machine's: --host 127.0.0.1"


class _Workers(Multiprocess):
    """Server processes, of which those that died leave no figures of the moment behind."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        self._counted: set[int] = set()

    def keep_subprocess_alive(self) -> None:
        super().keep_subprocess_alive()
        living = {process.pid for process in self.processes if process.pid}
        for process in self._counted - living:
            mark_process_dead(process)  # type: ignore[no-untyped-call]
        self._counted = living


def run(settings: Settings, sockets: list[socket.socket]) -> None:
    """Serve on sockets that listen, until SIGTERM or SIGINT. Every process reads its settings from the environment."""
    config = uvicorn.Config(
        "foodscene.app.main:create_app",
        factory=True,
        workers=settings.workers,
        backlog=_BACKLOG,
        http=Protocol,
        ws="none",
        log_config=logs.config(settings.log_level),
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=min(int(settings.deadline_seconds) + 1, ANSWERS_SECONDS),
    )
    if settings.workers == 1:
        uvicorn.Server(config).run(sockets)
        return
    with tempfile.TemporaryDirectory(prefix="foodscene-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        _Workers(config, sockets).run()
