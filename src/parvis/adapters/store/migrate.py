"""Bringing a database to the shape that this release expects, step by step."""

import threading
from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection
from sqlalchemy.exc import DBAPIError

from parvis.adapters.store.address import read_address
from parvis.adapters.store.dialect import Use, claim_migration, engine_for
from parvis.adapters.store.failures import failure_of
from parvis.core.errors import Misconfigured

_ONE_AT_A_TIME = threading.Lock()
"""Alembic keeps the running migration in globals of its modules."""


def migrate(address: str | URL) -> None:
    """Take all steps that are missing, in one transaction; do nothing when there are none.

    Two processes may start at once: the second waits for the first and finds nothing to do. Raises
    Misconfigured when the database is newer than this release, Unavailable when it cannot be used.
    """
    engine = engine_for(read_address(address), Use.MIGRATE, 1)
    try:
        with _ONE_AT_A_TIME, engine.begin() as connection:
            claim_migration(connection)
            _upgrade(connection)
    except DBAPIError as error:
        raise failure_of(error) from error
    finally:
        engine.dispose()


def _upgrade(connection: Connection) -> None:
    config = Config()
    folder = str(files("parvis.adapters.store") / "migrations")
    config.set_main_option("script_location", folder.replace("%", "%%"))  # a percent sign would be interpolated
    steps = ScriptDirectory.from_config(config)
    known = {step.revision for step in steps.walk_revisions()}
    here = set(MigrationContext.configure(connection).get_current_heads())
    if here - known:
        raise Misconfigured(
            f"The database is at step {', '.join(sorted(here))}, which this release does not know: "
            "install the release that wrote it, or a later one."
        )
    if here != set(steps.get_heads()):
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
