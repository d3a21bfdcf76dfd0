"""`parvis doctor`: is this installation well, and if not, what to do."""

from collections.abc import Iterator
from dataclasses import asdict

import click

from parvis.cli.checks_machine import check_libraries, check_machine, check_python
from parvis.cli.checks_service import check_service
from parvis.cli.checks_tls import check_tls
from parvis.cli.finding import Finding, problem
from parvis.cli.output import as_json, print_json, printable
from parvis.cli.place import settings_of
from parvis.core.errors import Misconfigured

_MARKS = {"ok": ("ok", "green"), "problem": ("PROBLEM", "red"), "skipped": ("-", "yellow")}


@click.command()
@as_json
@click.pass_context
def doctor(ctx: click.Context, *, json_: bool) -> None:
    """Check this installation; exit status 1 when something is wrong."""
    findings = []
    for finding in _examine(ctx):
        findings.append(finding)
        if not json_:
            _print(finding)
    healthy = all(finding.state != "problem" for finding in findings)
    if json_:
        print_json({"ok": healthy, "checks": [asdict(finding) for finding in findings]})
    ctx.exit(0 if healthy else 1)


def _examine(ctx: click.Context) -> Iterator[Finding]:
    try:
        settings = settings_of(ctx)
    except Misconfigured as wrong:
        yield check_python()
        yield check_libraries()
        yield problem("settings", str(wrong), "`parvis config schema` shows what can be set.")
        return
    yield from check_machine(settings)
    yield from check_tls(settings)
    yield from check_service(settings)


def _print(finding: Finding) -> None:
    mark, colour = _MARKS[finding.state]
    click.echo(f"{click.style(f'{mark:8}', fg=colour)} {finding.what}: {printable(finding.detail)}")
    if finding.fix:
        click.echo(f"{'':8} -> {printable(finding.fix)}")
