"""MethodSCRIPT blocks as Python closures: what runs at every tick of a measurement loop.

A closure returns None, or BREAK when its loop shall end. ScriptError and ScriptAborted end the script.
"""

from __future__ import annotations

import operator
from collections.abc import Callable

from devices.sim import script_syntax as syntax
from devices.sim.potentiostat import Potentiostat
from devices.sim.script_commands import CommandCompiler, Step
from devices.sim.script_memory import Memory
from devices.sim.script_syntax import Branches, Command, Literal, Loop, Node, ScriptError, Variable

Test = Callable[[], bool]
TOO_SLOW = 0x005A
_ROUNDS_PER_TICK = 10_000  # of a plain loop inside a measurement loop: more would miss the next tick
_WAITING = frozenset({"wait", "await_int", "meas"})
_COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq}


def takes_time(node: Node) -> bool:
    """Whether a node waits, measures or loops, so that it cannot be one closure."""
    return isinstance(node, syntax.Measurement | Loop) or (
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
        if isinstance(node, Loop):
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

    def _loop(self, node: Loop) -> Step:
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
