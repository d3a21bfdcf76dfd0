"""What several commands ask for in the same way."""

from collections.abc import Callable
from typing import Any

import click

from parvis.cli.operator_api import Json

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

limit_option: Decorator = click.option("--limit", type=click.IntRange(min=1), help="So many at most [all].")
yes_option: Decorator = click.confirmation_option("--yes", prompt="This cannot be undone. Go on?", help="Do not ask.")


def said(**values: object) -> Json:
    """What was said of these fields; an option that was left out says nothing."""
    return {name: _plain(value) for name, value in values.items() if value not in (None, ())}


def _plain(value: object) -> object:
    """An option that is given several times says a list; said once as nothing, an empty one."""
    if not isinstance(value, tuple):
        return value
    return [] if value == ("",) else list(value)
