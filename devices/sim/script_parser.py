"""The MethodSCRIPT parser of the emulator: line by line as they are uploaded, strict as the instrument."""

from __future__ import annotations

from dataclasses import dataclass

from devices.sim import emstat
from devices.sim import script_grammar as grammar
from devices.sim import script_syntax as syntax
from devices.sim.script_arguments import UNEXPECTED_ARGUMENT, ArgumentReader
from devices.sim.script_syntax import Branches, Loop, Measurement, ScriptError
from devices.sim.script_words import UNEXPECTED_CHARACTER, Word, split_line

UNKNOWN_COMMAND, TOO_LARGE, NESTED_LOOP, WRONG_SITUATION = 0x4001, 0x4005, 0x400B, 0x400C
WRONG_SCOPE, UNEXPECTED_END, PACKAGE_ORDER = 0x400E, 0x4018, 0x401B
NOT_SUPPORTED, FEATURE_NOT_LICENSED = 0x001B, 0x4034
LARGEST_SCRIPT_BYTE = 131_072


@dataclass(slots=True)
class _Scope:
    """An open block: where its nodes go, and what may close it."""

    kind: str  # script, if, else, loop, measurement, finished
    block: list[syntax.Node]
    node: Branches | Loop | Measurement | None = None
    has_package: bool = False


class ScriptParser:
    """Takes the lines of one upload with `feed`; `finish` gives the script.

    Both raise ScriptError with line and column at the first fault.
    """

    def __init__(self) -> None:
        self._script = syntax.Script()
        self._reader = ArgumentReader(self._script)
        self._scopes = [_Scope("script", self._script.body)]
        self._line = 0
        self._size = 0
        self._package_open = False

    def feed(self, text: str) -> None:
        """One line, without its end."""
        self._line += 1
        self._size += len(text) + 1
        if self._size > LARGEST_SCRIPT_BYTE:
            raise ScriptError(TOO_LARGE, self._line)
        words = split_line(text, self._line)
        if words:
            self._statement(words[0], words[1:])

    def finish(self) -> syntax.Script:
        """The whole script, once the upload has ended."""
        if len(self._scopes) > 1 and self._scopes[-1].kind != "finished":
            raise ScriptError(UNEXPECTED_END, self._line + 1)
        if self._package_open:
            raise ScriptError(PACKAGE_ORDER, self._line + 1)
        return self._script

    def _statement(self, head: Word, words: list[Word]) -> None:
        name = head.text
        if name in grammar.BLOCK_COMMANDS or name in grammar.TECHNIQUE_IDS:
            self._require_closed_package(head)
        if name in grammar.BLOCK_COMMANDS:
            self._block_command(head, words)
        elif name in grammar.DECLARATIONS:
            self._declaration(head, words)
        elif name in grammar.TECHNIQUE_IDS:
            self._measurement(head, words)
        elif name in grammar.SIGNATURES:
            self._command(head, words)
        elif name in grammar.NOT_LICENSED:
            self._refuse(FEATURE_NOT_LICENSED, head)
        else:
            self._refuse(NOT_SUPPORTED if name in grammar.NOT_ON_DEVICE else UNKNOWN_COMMAND, head)

    def _refuse(self, code: int, word: Word) -> None:
        raise ScriptError(code, self._line, word.column)

    # ---- commands without a body
    def _declaration(self, head: Word, words: list[Word]) -> None:
        count = 1 if head.text == "var" else 2
        if len(words) != count:
            place = words[count] if len(words) > count else head
            self._refuse(UNEXPECTED_ARGUMENT if len(words) > count else UNEXPECTED_CHARACTER, place)
        if head.text == "var":
            self._reader.declare_variable(words[0], self._line)
        else:
            self._reader.declare_array(words[0], words[1], self._line)

    def _command(self, head: Word, words: list[Word]) -> None:
        name = head.text
        arguments = self._reader.arguments(name, grammar.SIGNATURES[name], words, self._line)
        if name.startswith("pck_"):
            self._package(head)
        elif name == "breakloop" and not any(s.kind in ("loop", "measurement") for s in self._scopes):
            self._refuse(WRONG_SITUATION, head)
        elif name == "abort" and self._scopes[0].kind == "finished":
            self._refuse(WRONG_SITUATION, head)
        if name.startswith(("set_range", "set_autoranging")):
            self._check_ranging(arguments, words)
        if any(s.kind == "measurement" for s in self._scopes):
            self._check_in_measurement(head, arguments)
        self._scopes[-1].block.append(syntax.Command(self._line, name, tuple(arguments)))

    def _package(self, head: Word) -> None:
        if self._package_open == (head.text == "pck_start"):
            self._refuse(PACKAGE_ORDER, head)
        self._package_open = head.text != "pck_end"
        for scope in reversed(self._scopes):
            scope.has_package = True
            if scope.kind == "measurement":
                return

    def _check_ranging(self, arguments: list[syntax.Argument], words: list[Word]) -> None:
        kind = arguments[0]
        values = tuple(a.value for a in arguments[1:] if isinstance(a, syntax.Literal))
        code = emstat.refuse_ranging(kind.name, values) if isinstance(kind, syntax.TypeName) else None
        if code is not None:
            self._refuse(code, words[-1])

    def _check_in_measurement(self, head: Word, arguments: list[syntax.Argument]) -> None:
        code = grammar.NOT_IN_MEASUREMENT.get(head.text)
        if head.text in ("set_range", "set_range_minmax", "set_autoranging"):
            kind = arguments[0]
            name = kind.name if isinstance(kind, syntax.TypeName) else ""
            code = grammar.SET_RANGE_IN_MEASUREMENT.get(name)
        if code is not None:
            self._refuse(code, head)

    def _require_closed_package(self, head: Word) -> None:
        if self._package_open:
            self._refuse(PACKAGE_ORDER, head)

    # ---- blocks
    def _measurement(self, head: Word, words: list[Word]) -> None:
        if any(scope.kind == "measurement" for scope in self._scopes):
            self._refuse(NESTED_LOOP, head)
        kinds = grammar.SIGNATURES[head.text]
        found = self._reader.arguments(head.text, kinds, words[: len(kinds)], self._line)
        extra = self._reader.extra_outputs(head.text, words[len(kinds) :], self._line)
        first = kinds.index("in")
        outputs = tuple(a.index for a in found[:first] if isinstance(a, syntax.Variable))
        numbers = tuple(a for a in found[first:] if isinstance(a, syntax.Operand))
        node = Measurement(self._line, head.text, outputs, numbers, extra, [])
        self._open(_Scope("measurement", node.body, node))

    def _open(self, scope: _Scope) -> None:
        if isinstance(scope.node, Branches | Loop | Measurement):
            self._scopes[-1].block.append(scope.node)
        self._scopes.append(scope)

    def _block_command(self, head: Word, words: list[Word]) -> None:
        match head.text:
            case "if":
                node = Branches(self._line, [(self._condition(head, words), [])])
                self._open(_Scope("if", node.branches[0][1], node))
            case "elseif":
                self._next_branch(head, self._condition(head, words))
            case "else":
                self._no_more(words)
                self._next_branch(head, None)
            case "endif":
                self._no_more(words)
                self._close(head, ("if", "else"))
            case "loop":
                loop = Loop(self._line, self._condition(head, words), [])
                self._open(_Scope("loop", loop.body, loop))
            case "endloop":
                self._no_more(words)
                if self._scopes[-1].kind == "measurement" and not self._scopes[-1].has_package:
                    self._refuse(PACKAGE_ORDER, head)
                self._close(head, ("loop", "measurement"))
            case _:
                self._no_more(words)
                self._on_finished(head)

    def _condition(self, head: Word, words: list[Word]) -> syntax.Condition:
        if len(words) < 3:
            self._refuse(UNEXPECTED_CHARACTER, words[-1] if words else head)
        self._no_more(words[3:])
        left, operator, right = words[:3]
        if operator.kind != "operator" or operator.text not in grammar.OPERATORS:
            self._refuse(UNEXPECTED_CHARACTER, operator)
        return syntax.Condition(
            self._line,
            self._reader.operand(left, self._line),
            operator.text,
            self._reader.operand(right, self._line),
        )

    def _next_branch(self, head: Word, condition: syntax.Condition | None) -> None:
        scope = self._scopes[-1]
        if scope.kind != "if" or not isinstance(scope.node, Branches):
            self._refuse(WRONG_SCOPE, head)
            return
        scope.kind = "if" if condition is not None else "else"
        scope.block = []
        scope.node.branches.append((condition, scope.block))

    def _close(self, head: Word, kinds: tuple[str, ...]) -> None:
        if self._scopes[-1].kind not in kinds:
            self._refuse(WRONG_SCOPE, head)
        self._scopes.pop()

    def _on_finished(self, head: Word) -> None:
        if len(self._scopes) != 1 or self._scopes[0].kind != "script":
            self._refuse(WRONG_SCOPE, head)
        self._scopes = [_Scope("finished", self._script.finished)]

    def _no_more(self, words: list[Word]) -> None:
        if words:
            self._refuse(UNEXPECTED_ARGUMENT, words[0])
