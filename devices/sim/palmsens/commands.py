"""Single MethodSCRIPT commands as Python closures.

A closure returns None, or BREAK when its loop shall end; ScriptError and ScriptAbort end the script.

A closure returns None, or BREAK when its loop shall end. ScriptError and ScriptAborted end the script.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from math import isfinite

from devices.sim.palmsens import syntax
from devices.sim.palmsens.grammar import REFUSALS
from devices.sim.palmsens.memory import NANOSECOND, Memory
from devices.sim.palmsens.package_text import Number
from devices.sim.palmsens.potentiostat import Potentiostat
from devices.sim.palmsens.syntax import (
    Branches,
    Command,
    Element,
    Literal,
    Node,
    Operand,
    Place,
    ScriptError,
    ScriptLoop,
    Variable,
)

BREAK = "break"
Step = Callable[[], str | None]
DIVIDED_BY_ZERO, NOT_A_NUMBER = 0x0028, 0x0010


class ScriptAbort(Exception):  # noqa: N818  (the language's own word; it is no error)
    """The script's own `abort`, or the host's: go on at `on_finished`."""


class CommandCompiler:
    """Makes closures over one run's memory and the instrument's analog side."""

    def __init__(self, memory: Memory, potentiostat: Potentiostat) -> None:
        self._memory = memory
        front = potentiostat
        self._builders: dict[str, Callable[[Command], Step]] = {
            "breakloop": lambda command: lambda: BREAK,
            "abort": lambda command: _abort,
            "store_var": self._store,
            "copy_var": lambda command: self._copy(_operand(command, 0), _place(command, 1), command.line),
            "array_get": self._array_get,
            "array_set": self._array_set,
            "alter_vartype": self._alter_type,
            "timer_start": lambda command: self._timer_start,
            "timer_get": self._timer_get,
            "pck_start": lambda command: memory.package.clear,
            "pck_add": self._add_to_package,
            "pck_end": lambda command: memory.send_package,
            "send_string": self._send_string,
        }
        self._actions: dict[str, Callable[[Command, list[Number]], None]] = {
            "set_int": self._set_interval,
            "set_script_output": lambda command, values: setattr(memory, "muted", values[0] == 0),
            "cell_on": lambda command, values: front.cell_on(f"cell_on, line {command.line}"),
            "cell_off": lambda command, values: front.cell_off(f"cell_off, line {command.line}"),
            "set_pgstat_mode": lambda command, values: front.set_mode(values[0]),
            "set_e": lambda command, values: front.set_potential(values[0]),
            "set_i": lambda command, values: front.set_current(values[0]),
            "set_range": lambda command, values: front.set_range(_kind(command), values[0], values[0]),
            "set_range_minmax": lambda command, values: front.set_range(_kind(command), *values),
            "set_autoranging": lambda command, values: front.set_range(_kind(command), *values),
        }

    def step(self, command: Command) -> Step:
        """The closure of one command that takes no time."""
        if command.name in _COMPUTE:
            return self._arithmetic(command)
        builder = self._builders.get(command.name)
        return builder(command) if builder is not None else self._action(command)

    def _action(self, command: Command) -> Step:
        """A setting: its numbers are checked at run time, for they may come from variables."""
        numbers = tuple(a for a in command.arguments if isinstance(a, Operand))
        refusals = tuple(REFUSALS.get((command.name, n)) for n in range(len(numbers)))
        read, action = self._memory.read, self._actions.get(command.name)

        def run() -> None:
            values = [read(number) for number in numbers]
            for value, refuse in zip(values, refusals, strict=True):
                code = refuse(value) if refuse is not None else None
                if code is not None:
                    raise ScriptError(code)
            if action is not None:
                action(command, values)

        return _placed(run, command.line)

    def _arithmetic(self, command: Command) -> Step:
        compute, place, source = _COMPUTE[command.name], _place(command, 0), _operand(command, 1)
        if isinstance(place, Variable) and not isinstance(source, Element):
            return self._quick_arithmetic(compute, place.index, source, command.line)
        memory = self._memory

        def general() -> None:
            memory.write(place, _finite(compute(memory.read(place), memory.read(source))))

        return _placed(general, command.line)

    def _quick_arithmetic(
        self, compute: Callable[[Number, Number], Number], target: int, source: Literal | Variable, line: int
    ) -> Step:
        values = self._memory.values
        constant = source.value if isinstance(source, Literal) else None
        origin = source.index if isinstance(source, Variable) else target

        def run() -> None:
            try:
                result = compute(values[target], values[origin] if constant is None else constant)
            except ZeroDivisionError:
                raise ScriptError(DIVIDED_BY_ZERO, line) from None
            if not isfinite(result):
                raise ScriptError(NOT_A_NUMBER, line)
            values[target] = result

        return run

    def _store(self, command: Command) -> Step:
        place, value, kind, write = (
            _place(command, 0),
            _operand(command, 1),
            _kind(command),
            self._memory.write,
        )
        number = value.value if isinstance(value, Literal) else 0.0
        return _placed(lambda: write(place, number, kind), command.line)

    def _copy(self, source: Operand, place: Place, line: int) -> Step:
        memory = self._memory
        if isinstance(source, Variable) and isinstance(place, Variable):
            return self._quick_copy(source.index, place.index)
        return _placed(lambda: memory.write(place, memory.read(source), *memory.type_of(source)), line)

    def _quick_copy(self, origin: int, target: int) -> Step:
        values, types, metadata = self._memory.values, self._memory.types, self._memory.metadata

        def run() -> None:
            values[target] = values[origin]
            types[target] = types[origin]
            metadata[target] = metadata[origin]

        return run

    def _array_get(self, command: Command) -> Step:
        return self._copy(_array_element(command), _place(command, 2), command.line)

    def _array_set(self, command: Command) -> Step:
        return self._copy(_operand(command, 2), _array_element(command), command.line)

    def _alter_type(self, command: Command) -> Step:
        memory, place, kind = self._memory, _place(command, 0), _kind(command)
        return _placed(
            lambda: memory.write(place, memory.read(place), kind, memory.type_of(place)[1]), command.line
        )

    def _timer_start(self) -> None:
        self._memory.timer_nanosecond = self._memory.now_nanosecond

    def _timer_get(self, command: Command) -> Step:
        memory, place = self._memory, _place(command, 0)
        if isinstance(place, Element):
            return _placed(lambda: memory.write(place, self._elapsed_second(), "eb"), command.line)
        values, types, metadata, index = memory.values, memory.types, memory.metadata, place.index

        def run() -> None:
            values[index] = (memory.now_nanosecond - memory.timer_nanosecond) / NANOSECOND
            types[index] = "eb"
            metadata[index] = None

        return run

    def _elapsed_second(self) -> float:
        return (self._memory.now_nanosecond - self._memory.timer_nanosecond) / NANOSECOND

    def _add_to_package(self, command: Command) -> Step:
        memory, place = self._memory, _place(command, 0)
        return _placed(lambda: memory.add_to_package(place), command.line)

    def _send_string(self, command: Command) -> Step:
        memory, text = self._memory, command.arguments[0]
        parts = text.parts if isinstance(text, syntax.Text) else ()

        def run() -> None:
            memory.say("T" + "".join(p if isinstance(p, str) else f"{memory.read(p):g}" for p in parts))

        return _placed(run, command.line)

    def _set_interval(self, command: Command, values: list[Number]) -> None:
        self._memory.interval_nanosecond = round(values[0] * NANOSECOND)
        self._memory.interval_start_nanosecond = self._memory.now_nanosecond


def _divide(dividend: Number, divisor: Number) -> Number:
    if isinstance(dividend, int) and isinstance(divisor, int):
        quotient = abs(dividend) // abs(divisor)  # integers are cut towards zero
        return quotient if (dividend < 0) == (divisor < 0) else -quotient
    return dividend / divisor


_COMPUTE: dict[str, Callable[[Number, Number], Number]] = {
    "add_var": operator.add,
    "sub_var": operator.sub,
    "mul_var": operator.mul,
    "div_var": _divide,
}


def _finite(value: Number) -> Number:
    if not isfinite(value):
        raise ScriptError(NOT_A_NUMBER)
    return value


def _placed(run: Callable[[], None], line: int) -> Step:
    """Errors of a command get its line."""

    def placed() -> None:
        try:
            run()
        except ScriptError as error:
            raise ScriptError(error.code, line) from None
        except ZeroDivisionError:
            raise ScriptError(DIVIDED_BY_ZERO, line) from None

    return placed


def _abort() -> str | None:
    raise ScriptAbort


def _kind(command: Command) -> str:
    return next(a.name for a in command.arguments if isinstance(a, syntax.TypeName))


def _operand(command: Command, position: int) -> Operand:
    argument = command.arguments[position]
    if not isinstance(argument, Operand):
        raise TypeError(f"line {command.line}: {argument!r} has no value")
    return argument


def _place(command: Command, position: int) -> Place:
    argument = command.arguments[position]
    if not isinstance(argument, Place):
        raise TypeError(f"line {command.line}: {argument!r} is no place")
    return argument


def _array_element(command: Command) -> Element:
    array, index = command.arguments[:2]
    if not isinstance(array, syntax.ArrayName) or not isinstance(index, Literal | Variable):
        raise ScriptError(0x4038, command.line)
    return Element(array.array, index)


Test = Callable[[], bool]
TOO_SLOW = 0x005A
_ROUNDS_PER_TICK = 10_000  # of a plain loop inside a measurement loop: more would miss the next tick
_WAITING = frozenset({"wait", "await_int", "meas"})
_COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq}


def takes_time(node: Node) -> bool:
    """Whether a node waits, measures or loops, so that it cannot be one closure."""
    return isinstance(node, syntax.Measurement | ScriptLoop) or (
        isinstance(node, Command) and node.name in _WAITING
    )


class Compiler:
    """Makes closures over one run's memory and the instrument's analog side."""

    def __init__(self, memory: Memory, potentiostat: Potentiostat) -> None:
        self._memory = memory
        self._commands = CommandCompiler(memory, potentiostat)

    def block(self, nodes: list[Node]) -> Step:
        """Nodes one after another."""
        steps = tuple(self.node(node) for node in nodes)
        if len(steps) == 1:
            return steps[0]

        def run() -> str | None:
            for step in steps:
                signal = step()
                if signal is not None:
                    return signal
            return None

        return run

    def node(self, node: Node) -> Step:
        """One node; measurement loops and waits are not for here."""
        if isinstance(node, Branches):
            return self._branches(node)
        if isinstance(node, ScriptLoop):
            return self._loop(node)
        if isinstance(node, Command):
            return self._commands.step(node)
        raise TypeError(f"line {node.line}: a measurement loop is no single closure")

    def test(self, condition: syntax.Condition) -> Test:
        """A comparison; the common one, variable with literal, at full speed."""
        compare, values = _COMPARE[condition.operator], self._memory.values
        left, right = condition.left, condition.right
        if isinstance(left, Variable) and isinstance(right, Literal):
            index, constant = left.index, right.value
            return lambda: compare(values[index], constant)
        if isinstance(left, Variable) and isinstance(right, Variable):
            first, second = left.index, right.index
            return lambda: compare(values[first], values[second])
        read, line = self._memory.read, condition.line

        def general() -> bool:
            try:
                return compare(read(left), read(right))
            except ScriptError as error:
                raise ScriptError(error.code, line) from None

        return general

    def _branches(self, node: Branches) -> Step:
        if len(node.branches) == 1 and node.branches[0][0] is not None:
            test, body = self.test(node.branches[0][0]), self.block(node.branches[0][1])
            return lambda: body() if test() else None
        pairs = tuple((self.test(c) if c else _always, self.block(body)) for c, body in node.branches)

        def run() -> str | None:
            for test, body in pairs:
                if test():
                    return body()
            return None

        return run

    def _loop(self, node: ScriptLoop) -> Step:
        test, body, say = self.test(node.condition), self.block(node.body), self._memory.say

        def run() -> None:
            say("L")
            rounds = 0
            while test():
                if body() is not None:
                    break
                rounds += 1
                if rounds > _ROUNDS_PER_TICK:
                    raise ScriptError(TOO_SLOW, node.line)
            say("+")

        return run


def _always() -> bool:
    return True
