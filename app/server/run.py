"""The server: uvicorn around the application, in one process or several."""

import os
import tempfile

import uvicorn
from uvicorn.supervisors import Multiprocess

from foodscene.app.server import logs
from foodscene.app.server.drain import ANSWERS_SECONDS
from foodscene.app.server.protocol import Protocol
from foodscene.app.settings import Settings


def run(settings: Settings, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT. Every process reads its settings from the environment."""
    config = uvicorn.Config(
        "foodscene.app.main:create_app",
        factory=True,
        host=host,
        port=port,
        workers=settings.workers,
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
        # uvicorn would have this socket take IPv6 alone.
        uvicorn.Server(config).run([config.bind_socket()] if host == "::" else None)
        return
    with tempfile.TemporaryDirectory(prefix="foodscene-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        Multiprocess(config, sockets=[config.bind_socket()]).run()
