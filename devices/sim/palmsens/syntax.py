"""The parts of a parsed MethodSCRIPT, and the error that stops its upload or its run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from devices.sim.palmsens.package_text import Number


class ScriptError(Exception):
    """An error of the instrument's own table, with its place in the script (lines and columns from 1)."""

    def __init__(self, code: int, line: int | None = None, column: int | None = None) -> None:
        self.code, self.line, self.column = code, line, column
        super().__init__(self.wire_text())

    def wire_text(self) -> str:
        """As it stands on the wire: `!XXXX: Line L, Col C`."""
        place = [f"Line {self.line}"] if self.line is not None else []
        place += [f"Col {self.column}"] if self.column is not None else []
        return f"!{self.code:04X}" + (": " + ", ".join(place) if place else "")


@dataclass(frozen=True, slots=True)
class Literal:
    """A number written in the script."""

    value: Number


@dataclass(frozen=True, slots=True)
class Variable:
    """A declared variable, by its place in memory."""

    index: int


@dataclass(frozen=True, slots=True)
class Element:
    """An element of a declared array."""

    array: int
    index: Literal | Variable


@dataclass(frozen=True, slots=True)
class ArrayName:
    """A whole array, by its place in memory."""

    array: int


@dataclass(frozen=True, slots=True)
class TypeName:
    """A variable type such as `ab`."""

    name: str


@dataclass(frozen=True, slots=True)
class Text:
    """A string; of an f-string the values in braces are parts of their own."""

    parts: tuple[str | Variable | Element, ...]


Place = Variable | Element
Operand = Literal | Variable | Element
Argument = Operand | ArrayName | TypeName | Text


@dataclass(frozen=True, slots=True)
class Command:
    """A command without a body."""

    line: int
    name: str
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """`left operator right`."""

    line: int
    left: Operand
    operator: str
    right: Operand


@dataclass(frozen=True, slots=True)
class Branches:
    """if / elseif / else: the first condition that holds; None is the `else`."""

    line: int
    branches: list[tuple[Condition | None, list[Node]]]


@dataclass(frozen=True, slots=True)
class ScriptLoop:
    """A plain loop."""

    line: int
    condition: Condition
    body: list[Node]


@dataclass(frozen=True, slots=True)
class ExtraOutput:
    """One more value of each tick or point, by an optional argument such as `add_meas(0 ab x)`."""

    kind: str
    variable: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """A measurement loop: outputs are variable indices, numbers are operands in the command's order."""

    line: int
    name: str
    outputs: tuple[int, ...]
    numbers: tuple[Operand, ...]
    extra: tuple[ExtraOutput, ...]
    body: list[Node]


Node = Command | Branches | ScriptLoop | Measurement


@dataclass(slots=True)
class Script:
    """A whole script: what it declares, its body, and what runs at its end or abort."""

    variables: list[str] = field(default_factory=list)
    arrays: list[tuple[str, int]] = field(default_factory=list)
    body: list[Node] = field(default_factory=list)
    finished: list[Node] = field(default_factory=list)

    def measures(self) -> bool:
        """Whether any measurement loop is in it (then it is a program, else a quick command)."""
        return has_node(self.body, lambda node: isinstance(node, Measurement))


def has_node(nodes: list[Node], wanted: Callable[[Node], bool]) -> bool:
    """Whether a node, or one inside it, is wanted."""
    return any(wanted(node) or any(has_node(body, wanted) for body in bodies(node)) for node in nodes)


def bodies(node: Node) -> list[list[Node]]:
    """The blocks inside a node."""
    if isinstance(node, Branches):
        return [body for _, body in node.branches]
    return [node.body] if isinstance(node, ScriptLoop | Measurement) else []


def retyped_variables(nodes: list[Node]) -> set[int]:
    """Variables whose type some command in the nodes sets."""
    found: set[int] = set()
    for node in nodes:
        if isinstance(node, Command) and node.name in _RETYPING:
            place = node.arguments[_RETYPING[node.name]]
            found |= {place.index} if isinstance(place, Variable) else set()
        for body in bodies(node):
            found |= retyped_variables(body)
    return found


_RETYPING = {"store_var": 0, "copy_var": 1, "timer_get": 0, "alter_vartype": 0, "array_get": 2}
