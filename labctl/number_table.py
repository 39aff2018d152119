"""Tables of numbers for terminals of any width: no digit of a number is ever cut.

A column of numbers is as wide as its longest one. Columns that do not fit beside the others follow in a block
below, with the first column again, which says what a row is of.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from labctl.printable import printable

_BETWEEN = 2  # characters beside each column
_MOST_OF_WORDS = 40  # characters in a line of a column of words


@dataclass(frozen=True)
class NumberTable:
    """Columns of texts under headings of one or more lines; the first column says what a row is of.

    Attributes:
        columns: Heading and the cells below it, as many in each column.
        words: Headings of the columns that hold no numbers: they begin at the left, long ones are folded.
        dispensable: Headings that are left out, in turn, where the others make one block; the table says so.
        ruled: Whether a line parts headings and rows.
    """

    columns: Mapping[str, Sequence[str]]
    words: Collection[str] = ()
    dispensable: Sequence[str] = ()
    ruled: bool = True

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The blocks, one below the other."""
        kept = self._kept(options.max_width)
        for number, headings in enumerate(self._blocks(kept, options.max_width)):
            if number and not self.ruled:
                yield Text()
            table = self._table(headings)
            for cells in zip(*(self.columns[heading] for heading in headings), strict=True):
                table.add_row(*(Text(printable(cell, lines=True)) for cell in cells))
            width = max(self._needed(headings), options.max_width)
            yield from console.render(table, options.update(width=width))
        if left_out := [heading.replace("\n", " ") for heading in self.columns if heading not in kept]:
            yield Text(f"(no room for: {', '.join(left_out)})")

    def _table(self, headings: Sequence[str]) -> Table:
        if self.ruled:
            table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), header_style="bold")
        else:
            table = Table(box=None, padding=(0, _BETWEEN, 0, 0), pad_edge=False)
        for heading in headings:
            justify = "left" if heading in self.words else "right"
            table.add_column(heading, justify=justify, overflow="fold", width=self._widths[heading])
        return table

    @property
    def _edge(self) -> int:
        """Characters of a line beside those of its columns."""
        return 1 if self.ruled else -_BETWEEN

    def _kept(self, width: int) -> list[str]:
        """The headings, without dispensable ones if that makes one block of them."""
        kept, dispensable = list(self.columns), list(self.dispensable)
        while self._needed(kept) > width and dispensable:
            kept = [heading for heading in kept if heading != dispensable[0]]
            del dispensable[0]
        return kept if self._needed(kept) <= width else list(self.columns)

    def _blocks(self, headings: Sequence[str], width: int) -> Iterator[list[str]]:
        """The headings of each block; one with a single column beside the first may be wider than `width`."""
        block = [headings[0]]
        for heading in headings[1:]:
            if len(block) > 1 and self._needed([*block, heading]) > width:
                yield block
                block = [headings[0]]
            block.append(heading)
        yield block

    def _needed(self, headings: Sequence[str]) -> int:
        return self._edge + sum(self._widths[heading] + _BETWEEN for heading in headings)

    @cached_property
    def _widths(self) -> dict[str, int]:
        """The longest line of each column."""
        widths = {}
        for heading, cells in self.columns.items():
            lines = (line for text in (heading, *cells) for line in text.split("\n"))
            longest = max(map(cell_len, lines))
            widths[heading] = min(longest, _MOST_OF_WORDS) if heading in self.words else longest
        return widths
