"""Logs: a JSON object a line, on standard error."""

import json
import logging
import logging.config
from datetime import UTC, datetime

# What no line says need not be found out for each (Python's logging HOWTO, "Optimization").
logging._srcfile = None
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False

_EXTRAS = ("request", "method", "path", "status", "milliseconds", "client", "model")


class JsonLines(logging.Formatter):
    """Formats a record as one JSON object: time, level, what wrote it, message, and what was said of the request."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update({name: record.__dict__[name] for name in _EXTRAS if name in record.__dict__})
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def config(level: str) -> dict[str, object]:
    """For `logging.config.dictConfig`: everything as JSON lines, uvicorn's own access lines left out."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "app.logs.JsonLines"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"handlers": ["stderr"], "level": level.upper()},
        # What is wrong with a form is told to whoever sent it; it is not worth a line that anyone can cause.
        "loggers": {"python_multipart": {"level": "ERROR"}},
    }
