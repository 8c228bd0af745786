"""How the service stops: first it says that it will, then it takes no more, then the last answers leave."""

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

logger = logging.getLogger(__name__)


@contextmanager
def drained_on_sigterm(begin: Callable[[], None], seconds: float) -> Iterator[None]:
    """On SIGTERM, call `begin` and hand the signal on to whoever handled it before, the server, `seconds` later.

    In between, load balancers see the readiness go red and send new requests elsewhere. A second SIGTERM does not wait.
    """
    server = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or not callable(server):
        yield  # not run by a server that handles signals
        return
    loop = asyncio.get_running_loop()
    draining = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal draining
        if draining or not seconds:
            begin()
            server(number, frame)
            return
        draining = True
        begin()
        logger.info("Stopping in %g seconds.", seconds)
        loop.call_soon_threadsafe(loop.call_later, seconds, server, number, None)

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, server)
