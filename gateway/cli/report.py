"""Print the steps of a smoke test: a table that grows on a terminal, or JSON."""

import json

import msgspec
from rich.console import Console
from rich.table import Table

from gateway.cli.smoke import Step


class Report:
    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._console = Console()
        self._steps: list[Step] = []

    def add(self, step: Step) -> None:
        self._steps.append(step)

    def end(self) -> None:
        if self._as_json:
            well = all(step.ok for step in self._steps)
            steps = msgspec.to_builtins(self._steps)
            self._console.print_json(json.dumps({"ok": well, "steps": steps}))
        else:
            self._console.print(self._table())

    def _table(self) -> Table:
        table = Table("step", "verdict", "time", "detail")
        for step in self._steps:
            verdict = "[green]pass[/]" if step.ok else "[red]FAIL[/]"
            table.add_row(step.step, verdict, f"{step.milliseconds} ms", step.detail)
        return table
