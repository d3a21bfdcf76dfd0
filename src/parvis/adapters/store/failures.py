"""What a driver's errors become for everybody else."""

from sqlalchemy.exc import DBAPIError

from parvis.adapters.store.dialect import Verdict, verdict
from parvis.core.errors import Conflict, Failure, Unavailable


def failure_of(error: DBAPIError) -> Failure | DBAPIError:
    """The public failure behind a driver's error; the error itself when it is a bug of ours."""
    match verdict(error):
        case Verdict.AWAY:
            return Unavailable("The database cannot be used now. Its own log says why.", retry_after_s=5)
        case Verdict.AGAIN:
            return Unavailable("The database is too busy.", retry_after_s=1)
        case Verdict.CLASH:
            return Conflict("It clashes with something that the store holds.")
        case Verdict.BUG:
            return error


def not_written() -> Unavailable:
    """A whole group of transactions was lost."""
    return Unavailable("The database cannot be written now.", retry_after_s=5)


def not_open() -> Unavailable:
    """What every call before `open` and after `close` gets."""
    return Unavailable("The store is not open.")
