"""How the service stops: first it says that it will, then it takes no more, then the last answers leave.

And then it ends, whatever an engine or a decoder is doing: a thread that is inside one cannot be ended by itself.
"""

import asyncio
import faulthandler
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

logger = logging.getLogger(__name__)

ANSWERS_SECONDS = 7
"""How long the last answers are waited for when no connection is accepted any more."""
THREADS_SECONDS = 1.0
"""How long threads are waited for after them."""
_END_SECONDS = ANSWERS_SECONDS + THREADS_SECONDS + 0.5


@contextmanager
def drained_on_sigterm(begin: Callable[[], None], seconds: float) -> Iterator[None]:
    """On SIGTERM, call `begin` and hand the signal on to whoever handled it before, the server, `seconds` later.

    In between, load balancers see the readiness go red and send new requests elsewhere. A second SIGTERM does not wait.
    Less than ten seconds after `seconds` the process ends in any case: by an alarm, which needs no thread to be free.
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
            _end_within(_END_SECONDS)
            server(number, frame)
            return
        draining = True
        begin()
        _end_within(seconds + _END_SECONDS)
        logger.info("Stopping in %g seconds.", seconds)
        loop.call_soon_threadsafe(loop.call_later, seconds, server, number, None)

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, server)


def _end_within(seconds: float) -> None:
    if os.getpid() == 1:
        # The first process of a container has no alarm that it does not handle itself. This one needs no Python thread.
        faulthandler.dump_traceback_later(seconds, exit=True)
    elif hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)
