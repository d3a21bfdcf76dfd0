"""Logs as JSON lines on stderr. Only what is listed here leaves a record: no text of a request can slip through.

Our own messages are constants of the sources. A library's message may quote what it was given: asyncio says the
arguments of a callback and the text of an exception, SQLAlchemy the parameters of a statement. So of a library's
record, of a warning and of an exception that nobody caught, a line tells the kind and the places in the code.
"""

import errno
import logging
import sys
import threading
import time
import traceback
import warnings
from types import TracebackType
from typing import TextIO

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
    "reason",
    "key_id",
    "left_out",
)
OURS = "parvis"
"""The loggers whose messages are shown."""
PLACES_MAX = 4
WITHHELD = "said by a library, whose words are not shown"
_log = logging.getLogger("parvis.process")


class JsonLines(logging.Formatter):
    """time, level, logger, message, and the allowed fields. Exceptions are named, their texts are not shown."""

    def format(self, record: logging.LogRecord) -> str:
        ours = record.name.partition(".")[0] == OURS
        line: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage() if ours else WITHHELD,
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = kind_of(record.exc_info[0], record.exc_info[1])
            line["places"] = places(record.exc_info[2])
        elif not ours:
            line["places"] = [f"{record.pathname}:{record.lineno}"]
        line.update({name: getattr(record, name) for name in FIELDS if hasattr(record, name)})
        return msgspec.json.encode(line).decode()


def kind_of(kind: type[BaseException], problem: BaseException | None) -> str:
    """The name of an exception's class; of one of the system also the system's code, like `OSError EADDRINUSE`."""
    code = errno.errorcode.get(problem.errno or 0) if isinstance(problem, OSError) else None
    return f"{kind.__name__} {code}" if code else kind.__name__


def places(trace: TracebackType | None) -> list[str]:
    """`file:line` of the innermost frames, the innermost last."""
    return [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(trace)[-PLACES_MAX:]]


def log_to_stderr(level: int = logging.WARNING) -> None:
    """Every logger of the process writes JSON lines to stderr from now on, and nothing else does."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.raiseExceptions = False  # a record that cannot be written would be printed with its arguments
    sys.excepthook = _uncaught
    sys.unraisablehook = lambda told: _told(
        "exception that could not be raised", told.exc_type, told.exc_value, told.exc_traceback
    )
    threading.excepthook = lambda told: _told(
        "uncaught exception in a thread", told.exc_type, told.exc_value, told.exc_traceback
    )
    warnings.showwarning = _warned


def _uncaught(kind: type[BaseException], problem: BaseException, trace: TracebackType | None) -> None:
    _told("uncaught exception", kind, problem, trace)


def _told(what: str, kind: type[BaseException], problem: BaseException | None, trace: TracebackType | None) -> None:
    _log.error(what, extra={"kind": kind_of(kind, problem), "places": places(trace)})


def _warned(
    message: Warning | str,  # noqa: ARG001 - not shown: it may quote
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,  # noqa: ARG001 - always the log
    line: str | None = None,  # noqa: ARG001 - a line of the sources
) -> None:
    _log.warning("warning of Python", extra={"kind": category.__name__, "places": [f"{filename}:{lineno}"]})
