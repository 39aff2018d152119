"""`make bench`: measure, print each table, and write the page of all of them; trust the ratios."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.machine import facts, work_on_a_disk
from benchmarks.measurements import MEASUREMENTS
from benchmarks.page import page, summary


def main() -> int:
    """Run all, or those named on the command line; 1 when a measurement failed."""
    arguments = parse(sys.argv[1:])
    work_on_a_disk()
    found = facts()
    print("\n".join(f"{name}: {value}" for name, value in found.items()), end="\n\n")
    wanted = [each for each in MEASUREMENTS if not arguments.names or each.name in arguments.names]
    sections = []
    for place, each in enumerate(wanted, 1):
        told = f"[{place}/{len(wanted)}] {each.name}: about {each.minute:g} min ..."
        print(told, file=sys.stderr, flush=True)
        sections.append(each.section())
        print(sections[-1].text(), flush=True)
    rows = [row for section in sections for row in section.rows]
    print(summary(rows))
    if arguments.write:
        minute = sum(section.second for section in sections) / 60
        arguments.write.write_text(page(found, sections, minute), encoding="utf-8")
        print(f"written: {arguments.write}")
    return int(any(row.failed for row in rows))


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line: `names` and `write`; what is wrong with it ends the program with code 2."""
    known = [measurement.name for measurement in MEASUREMENTS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one or more of: {', '.join(known)}")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page of all measurements")
    parsed = parser.parse_args(arguments)
    unknown = sorted(set(parsed.names) - set(known))
    if unknown:
        parser.error(f"NAME: {', '.join(unknown)}: there are {', '.join(known)}")
    if parsed.write and parsed.names:
        parser.error("--write FILE: the page holds all measurements; name none")
    return parsed


if __name__ == "__main__":
    sys.exit(main())
