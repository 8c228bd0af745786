"""The server: uvicorn around the application, one process or several, and how it stops."""

import asyncio
from types import FrameType

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from app import logs
from app.settings import Settings


class Server(uvicorn.Server):
    """A server that says that it is going before it goes: readiness is red for a while, then the last answers leave."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        app = getattr(self.config, "foodscene", None)
        if app is None or app.state.service.draining:
            super().handle_exit(sig, frame)
            return
        app.state.service.draining = True
        delay = app.state.service.settings.drain_seconds
        asyncio.get_event_loop().call_later(delay, super().handle_exit, sig, frame)


def run(settings: Settings, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    config = uvicorn.Config(
        "app.main:create_app",
        factory=True,
        host=host,
        port=port,
        workers=settings.workers,
        http="httptools",
        log_config=logs.config(settings.log_level),
        access_log=False,
        server_header=False,
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_graceful_shutdown=int(settings.deadline_seconds) + 1,
    )
    if settings.workers > 1:
        Multiprocess(config, sockets=[config.bind_socket()]).run()
    else:
        uvicorn.Server(config).run()


__all__ = ["FastAPI", "Server", "run"]
