"""How commands print: tables for people, JSON, YAML and CSV for programs."""

import csv
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click
import yaml
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPE_COLUMNS = 250
BAR_COLUMNS = 16
_EIGHTHS = " ▏▎▍▌▋▊▉"
OUTPUTS = ("table", "json", "yaml", "csv")

Option = Callable[[Callable[..., Any]], Callable[..., Any]]
as_json: Option = click.option("--json", "json_", is_flag=True, help="Print JSON.")


def output_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `output`, one of `OUTPUTS`. `--json` and `--csv` are other words for two of them."""
    for form in ("csv", "json"):
        command = click.option(f"--{form}", "output", flag_value=form, help=f"The same as -o {form}.")(command)
    choice = click.Choice(OUTPUTS)
    return click.option("-o", "--output", type=choice, default="table", show_default=True, help="The form.")(command)


def print_rows(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], output: str, right: Sequence[str] = ()
) -> None:
    """A list of objects: all of each for programs, these columns of each as a table or as CSV."""
    cells = [[words(row.get(name)) for name in columns] for row in rows]
    match output:
        case "json" | "yaml":
            print_value(list(rows), output)
        case "csv":
            print_csv(columns, cells)
        case _:
            print_table(columns, cells, right)


def print_one(value: Mapping[str, Any], output: str) -> None:
    """One object, field by field."""
    if output in ("json", "yaml"):
        print_value(value, output)
        return
    facts = {name: fact for name, fact in value.items() if name != "object"}
    if output == "csv":
        print_csv(list(facts), [[words(fact) for fact in facts.values()]])
    else:
        print_facts(facts)


def print_value(value: Any, output: str) -> None:
    """Whatever it is, as JSON or YAML."""
    if output == "yaml":
        click.echo(yaml.safe_dump(value, allow_unicode=True, sort_keys=False), nl=False)
    else:
        print_json(value)


def print_done(sentence: str, value: Mapping[str, Any], output: str) -> None:
    """What was done: a sentence for people, the object for programs."""
    if output == "table":
        click.echo(printable(sentence))
    else:
        print_one(value, output)


def terminal() -> Console:
    """Standard output. Into a pipe nothing is cut to the width of a terminal that is not there."""
    return Console(highlight=False, soft_wrap=False, width=None if sys.stdout.isatty() else PIPE_COLUMNS)


def print_json(value: Any) -> None:
    """For programs: money as whole numbers, texts as they are."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_csv(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """For spreadsheets, quoted where it must be."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)


def print_table(header: Sequence[str], rows: Sequence[Sequence[object]], right: Sequence[str] = ()) -> None:
    """A table; the columns named in `right` are numbers."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in header:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(str(cell))) for cell in row))
    terminal().print(table)


def print_facts(facts: dict[str, object]) -> None:
    """One fact a line; empty ones are left out."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in facts.items():
        if value not in (None, "", [], {}):
            table.add_row(Text(name, style="bold"), Text(printable(words(value)), overflow="fold"))
    terminal().print(table)


def words(value: object) -> str:
    """A JSON value as a person would write it."""
    if isinstance(value, dict):
        return str(value["text"]) if "text" in value else json.dumps(value, ensure_ascii=False)
    if isinstance(value, (list, tuple)):
        return ", ".join(words(item) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)


def printable(text: str) -> str:
    """Without the control characters by which a text could take over the terminal."""
    return "".join(char for char in text if char.isprintable() or char in "\n\t")


def bar(part: int, whole: int, columns: int = BAR_COLUMNS) -> str:
    """A share drawn to an eighth of a column, in whole numbers."""
    if whole <= 0:
        return ""
    full, eighths = divmod(columns * 8 * part // whole, 8)
    return "█" * full + _EIGHTHS[eighths].strip()
