"""Logs as JSON lines on stderr. Only what is listed here leaves a record: no text of a request can slip through."""

import logging
import sys
import time

import msgspec

FIELDS = (
    "request_id",
    "kind",
    "places",
    "engine",
    "replica",
    "pid",
    "exit_code",
    "incarnation",
    "pause_s",
    "address",
)


class JsonLines(logging.Formatter):
    """time, level, logger, message, and the allowed fields. Exceptions are named, their texts are not shown."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = record.exc_info[0].__name__
        line.update({name: getattr(record, name) for name in FIELDS if hasattr(record, name)})
        return msgspec.json.encode(line).decode()


def log_to_stderr(level: int = logging.WARNING) -> None:
    """Every logger of the process writes JSON lines to stderr from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
