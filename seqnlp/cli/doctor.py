"""`seqnlp doctor`."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from seqnlp.cli.screen import open_screen

STYLES = {"ok": "green", "note": "yellow", "problem": "bold red"}


@click.command(short_help="Say what this machine can do, and why.")
@click.option("--json", "as_json", is_flag=True, help="All findings as one JSON object.")
def command(as_json: bool) -> int:
    """Say what this machine can do and why: compiler, kernels, engines, GPU, packages.

    A kernel is compiled, or loaded, and tried; nothing is downloaded. A note says what could be
    better; the exit status is 1 where something that should work does not.
    """
    from rich.table import Table
    from rich.text import Text

    from seqnlp.cli.checks import Status, examine

    findings = list(examine())
    problems = sum(finding.status is Status.PROBLEM for finding in findings)
    if as_json:
        click.echo(json.dumps({"ok": not problems, "findings": list(map(asdict, findings))}))
        return int(problems > 0)
    table = Table(box=None, pad_edge=False, show_header=False)
    for column in ("part", "status"):
        table.add_column(column, no_wrap=True)
    table.add_column("finding", overflow="fold")
    for finding in findings:
        status = Text(finding.status, style=STYLES[finding.status])
        table.add_row(finding.part, status, Text(finding.text))
    screen = open_screen()
    screen.print(table)
    ends = {0: "everything that should work does", 1: "1 problem"}
    screen.print(ends.get(problems, f"{problems} problems"))
    return int(problems > 0)
