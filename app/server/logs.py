"""Logs on standard error, written by a thread of its own so that no request waits for a pipe.

A line is a JSON object for programs, and words where a person looks: at a terminal.
"""

import atexit
import json
import logging
import logging.config
import os
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from queue import Empty, SimpleQueue

from foodscene.models.text import printable_lines

# What no line says need not be found out for each (Python's logging HOWTO, "Optimization").
logging._srcfile = None
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False

_EXTRAS = ("request", "method", "path", "status", "milliseconds", "client", "model")
_MOST_WAITING = 5_000
_LONGEST_PATH, _LONGEST_TEXT = 1_000, 4_000
"""Characters of a request's path, and of a message or an error. With `_MOST_WAITING`: what the log may hold, 30 MB."""
_AT_ONCE = 500
"""Lines that are written together."""
_PAUSE = 0.05  # lines that come within so many seconds are written together
_FLUSH_SECONDS = 2.0  # how long the end of the process waits for whoever reads the lines


_formatter = logging.Formatter()
_encode = json.JSONEncoder(ensure_ascii=False).encode  # `json.dumps` makes one for each line


class JsonLines(logging.Formatter):
    """Formats a record as one JSON object: time, level, what wrote it, message, and what was said of the request."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": printable_lines(record.getMessage()),
        }
        said = {name: record.__dict__[name] for name in _EXTRAS if name in record.__dict__}
        line.update({name: printable_lines(value) if isinstance(value, str) else value for name, value in said.items()})
        if error := record.exc_text or (record.exc_info and self.formatException(record.exc_info)):
            line["error"] = printable_lines(error)
        return _encode(line)


class Words(logging.Formatter):
    """Formats a record for people: time, message, what was said of the request; its level where that is no news."""

    def format(self, record: logging.LogRecord) -> str:
        said, message = record.__dict__, record.getMessage()
        if "status" in said:
            client = f"  {said['client']}" if "client" in said else ""
            message = f"{said['method']} {said['path']}  {said['status']}  {said['milliseconds']:,.0f} ms{client}"
        level = f"{record.levelname}: " if record.levelno >= logging.WARNING else ""
        error = record.exc_text or (record.exc_info and self.formatException(record.exc_info))
        lines = f"{datetime.fromtimestamp(record.created).astimezone():%H:%M:%S}  {level}{printable_lines(message)}"
        return f"{lines}\n{printable_lines(error)}" if error else lines


class Background(logging.Handler):
    """Writes lines to a file descriptor from a thread of its own.

    While nobody empties the pipe, the newest lines are dropped, and counted; the service goes on.
    """

    def __init__(self, descriptor: int = 2) -> None:
        super().__init__()
        self.descriptor = descriptor
        self.dropped = 0
        # Python's one queue that a signal's handler may put into while it interrupts another put.
        self._waiting: SimpleQueue[logging.LogRecord | threading.Event] = SimpleQueue()
        threading.Thread(target=self._work, name="log", daemon=True).start()
        atexit.register(self.finish)

    def handle(self, record: logging.LogRecord) -> bool:
        if self._waiting.qsize() < _MOST_WAITING:
            self._waiting.put(_bounded(record))
        else:
            self.dropped += 1
        return True

    def finish(self) -> None:
        """Wait until what was logged is written, at most `_FLUSH_SECONDS`."""
        written = threading.Event()
        self._waiting.put(written)
        written.wait(_FLUSH_SECONDS)

    def _work(self) -> None:
        while True:
            taken = [self._waiting.get()]
            time.sleep(_PAUSE)
            with suppress(Empty):
                while len(taken) < _AT_ONCE:
                    taken.append(self._waiting.get_nowait())
            records = [record for record in taken if isinstance(record, logging.LogRecord)]
            dropped, self.dropped = self.dropped, 0
            if dropped:
                message = f"{dropped} lines were dropped: nobody read them."
                records.append(logging.LogRecord(__name__, logging.WARNING, "", 0, message, None, None))
            self._write("".join(f"{self.format(record)}\n" for record in records).encode(errors="replace"))
            for event in taken:
                if isinstance(event, threading.Event):
                    event.set()

    def _write(self, lines: bytes) -> None:
        try:
            while lines:
                lines = lines[os.write(self.descriptor, lines) :]
        except OSError:
            self.dropped += 1  # whoever read them is gone


def _bounded(record: logging.LogRecord) -> logging.LogRecord:
    """The record without what may be of any size: long texts, and the frames of an error with all that they hold."""
    if record.args or len(str(record.msg)) > _LONGEST_TEXT:
        record.msg, record.args = _cut(record.getMessage(), _LONGEST_TEXT), None
    if record.exc_info:
        record.exc_text, record.exc_info = _cut(_formatter.formatException(record.exc_info), _LONGEST_TEXT), None
    if len(path := record.__dict__.get("path", "")) > _LONGEST_PATH:
        record.path = _cut(path, _LONGEST_PATH)
    return record


def _cut(text: str, most: int) -> str:
    """The text, or of a long one its two ends: an error says in its last line what it is."""
    return text if len(text) <= most else f"{text[: most // 2]} [...] {text[-most // 2 :]}"


def config(level: str) -> dict[str, object]:
    """For `logging.config.dictConfig`: words at a terminal, else JSON lines; uvicorn's own access lines left out."""
    lines = Words if sys.stderr.isatty() else JsonLines
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": {"()": f"{__name__}.{lines.__name__}"}},
        "handlers": {"stderr": {"()": f"{__name__}.{Background.__name__}", "formatter": "lines"}},
        "root": {"handlers": ["stderr"], "level": level.upper()},
    }
