"""The page `docs/benchmarks.md`: machine, tables, what each row means, how to repeat it."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.table import Row, heading

TITLE = """\
# Benchmarks

<!-- Written by `make bench`; do not edit. -->

What labctl takes, beside what other tools take for the same work on the same machine in the same run. The
ratios tell more than the figures: another machine moves both. Above 1 is good for a rate, below 1 for a time
or for memory. A *point* is one row of the stream `timeseries` (eight columns, one of them text), for every
tool alike. Other tools run with their usual settings; what those promise stands beside the name.

- `make bench` measures everything and writes this page; this time it took {minute:.0f} minutes. The machine
  should do nothing else meanwhile.
- `python -m benchmarks NAME` (in `.venv`) repeats one table and only prints it; NAME stands above the table.
"""


@dataclass(frozen=True)
class Section:
    """The rows of one measurement, and how long they took (s)."""

    name: str
    title: str
    rows: list[Row]
    second: float

    def text(self) -> str:
        """The part of the page."""
        meanings: dict[str, list[str]] = {}
        for row in self.rows:
            meanings.setdefault(row.meaning, []).append(row.what)
        said = [f"- *{'*, *'.join(whats)}*: {meaning}" for meaning, whats in meanings.items()]
        lines = [line for row in self.rows for line in row.lines()]
        head = f"`python -m benchmarks {self.name}` ({self.second:.0f} s)"
        return "\n".join([f"## {self.title}", "", head, "", *heading(), *lines, "", *said, ""])


def page(facts: dict[str, str], sections: list[Section], minute: float) -> str:
    """The whole page; `minute` is what all of it took."""
    machine = ["## Machine", "", "| | |", "| --- | --- |", *(f"| {k} | {v} |" for k, v in facts.items()), ""]
    goals = summary([row for section in sections for row in section.rows])
    parts = [
        TITLE.format(minute=minute),
        "\n".join(machine),
        f"{goals}\n",
        *(part.text() for part in sections),
    ]
    return "\n".join(parts)


def summary(rows: list[Row]) -> str:
    """How many goals are met, and which are not."""
    judged = [(row.what, row.goal.met(row.value)) for row in rows]
    met, missed = ([what for what, found in judged if found is wanted] for wanted in (True, False))
    told = f"Goals met: {len(met)} of {len(met) + len(missed)}."
    return told + (f" Not met: {'; '.join(missed)}." if missed else "")
