"""Limits as options of commands: one for each, and an empty text takes one away."""

from collections.abc import Callable
from typing import Any

import click

from parvis.cli.operator_api import Json
from parvis.core.errors import BadRequest
from parvis.domain.quota.limit_words import CONCURRENT, MONTHLY, NOTICE, PERCENTS, RATES

Command = Callable[..., Any]
_AMOUNTS = (
    (MONTHLY, "--budget-euro", "EURO", "No more than this is spent in a month, like 5.00; '' for no budget."),
    (NOTICE, "--notice-euro", "EURO", "Tell its owners when so much was spent in a month; '' for none."),
    (PERCENTS, "--notice-percents", "LIST", "And at these shares of the budget, like 50,80,100."),
)


def budget_options(command: Command) -> Command:
    """Those that are about a month's money."""
    for name, flag, metavar, help_ in reversed(_AMOUNTS):
        command = click.option(flag, name, metavar=metavar, help=help_)(command)
    return command


def limit_options(command: Command) -> Command:
    """All limits."""
    command = budget_options(command)
    told = {CONCURRENT: "So many requests at a time; '' for any number."}
    for name in reversed((*RATES, CONCURRENT)):
        help_ = told.get(name, f"At most so many {name.replace('_', ' ')}; '' for any number.")
        command = click.option(f"--{name.replace('_', '-')}", name, metavar="N", help=help_)(command)
    return command


def asked_limits(asked: dict[str, Any]) -> Json:
    """What was said of limits, taken out of what a command was asked: None where one is taken away."""
    names = (*RATES, CONCURRENT, MONTHLY, NOTICE, PERCENTS)
    said = {name: asked.pop(name) for name in names if name in asked}
    return {name: _value(name, text) for name, text in said.items() if text is not None}


def merged(before: Json, asked: Json) -> Json:
    """Those of before, but for what was asked."""
    return {name: value for name, value in {**before, **asked}.items() if value is not None}


def said_limits(words: Json) -> str:
    """`requests per minute 60, monthly euro 5`."""
    return ", ".join(f"{name.replace('_', ' ')} {_listed(value)}" for name, value in words.items())


def _listed(value: object) -> str:
    return "/".join(map(str, value)) if isinstance(value, list) else str(value)


def _value(name: str, text: str) -> object:
    if text == "":
        return None
    if name in (MONTHLY, NOTICE):
        return text
    try:
        return [int(part) for part in text.split(",")] if name == PERCENTS else int(text)
    except ValueError:
        raise BadRequest(f"'{text[:60]}' is no number for {name.replace('_', ' ')}.") from None
