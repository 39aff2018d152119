"""The MethodSCRIPT parser of the emulator: line by line as they are uploaded, strict as the instrument."""

from __future__ import annotations

import re
from dataclasses import dataclass

from devices.sim.palmsens import emstat, grammar, syntax
from devices.sim.palmsens.grammar import REFUSALS, SWEEP_OPTIONS, SWEEPS
from devices.sim.palmsens.package_text import parse_literal
from devices.sim.palmsens.syntax import (
    Branches,
    Element,
    Literal,
    Measurement,
    ScriptError,
    ScriptLoop,
    Text,
    Variable,
)

UNEXPECTED_CHARACTER, BAD_LITERAL = 0x4004, 0x4039

_WORD = re.compile(
    r"""
    (?P<text>f?"[^"]*")
  | (?P<option>[a-z_]+\([^()]*\))
  | (?P<operator>[<>=]=?)(?=\s|\#|\Z)
  | (?P<word>-?[A-Za-z0-9_]+(?:\[[A-Za-z0-9_]*\])?:?)
    """,
    re.VERBOSE,
)
_GAP = re.compile(r"\s*(?:#.*)?")


@dataclass(frozen=True, slots=True)
class Word:
    """A word, what sort it is (word, operator, text, option), and the column right after it (from 1)."""

    text: str
    kind: str
    column: int


def split_line(text: str, line: int) -> list[Word]:
    """The words of a line; [] when it is blank or a comment.

    Raises:
        ScriptError: a character that belongs to no word.
    """
    words: list[Word] = []
    place = _skip(text, 0)
    while place < len(text):
        match = _WORD.match(text, place)
        if match is None:
            raise ScriptError(UNEXPECTED_CHARACTER, line, place + 1)
        end = match.end()
        words.append(Word(match[0], match.lastgroup or "word", end + 1))
        place = _skip(text, end)
        if place == end < len(text):
            number = match[0].lstrip("-")[:1].isdigit()
            raise ScriptError(BAD_LITERAL if number else UNEXPECTED_CHARACTER, line, end + 1)
    return words


def _skip(text: str, place: int) -> int:
    match = _GAP.match(text, place)
    return match.end() if match else place


BAD_OPTION, DECLARED_TWICE, BAD_NAME, NAME_TOO_LONG = 0x4008, 0x4026, 0x402B, 0x402C
BAD_ARRAY_ACCESS, UNEXPECTED_ARGUMENT, NOT_DECLARED = 0x4038, 0x420A, 0x420B
VARIABLE_NOT_ALLOWED, LITERAL_NOT_ALLOWED, BRACE_NEVER_CLOSED = 0x420C, 0x420D, 0x4210
ELEMENT_NOT_ALLOWED, BAD_SIZE = 0x4211, 0x4205
_LONGEST_NAME, _LARGEST_ARRAY = 64, 100_000
_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
_ELEMENT = re.compile(r"([a-z][a-z0-9_]*)\[([A-Za-z0-9_]*)\]\Z")
_BRACES = re.compile(r"\{([^{}]*)\}")
_OPTION = re.compile(r"(\w+)\((.*)\)\Z")
_ADD_MEAS = re.compile(r"add_meas\(0 (\w+) (\w+)\)\Z")


class ArgumentReader:
    """Knows what a script has declared so far and reads the arguments of its lines."""

    def __init__(self, script: syntax.Script) -> None:
        self._script = script
        self._variables: dict[str, int] = {}
        self._arrays: dict[str, int] = {}

    def declare_variable(self, word: Word, line: int) -> None:
        """`var name`."""
        self._check_new(word, line)
        self._variables[word.text] = len(self._script.variables)
        self._script.variables.append(word.text)

    def declare_array(self, word: Word, size: Word, line: int) -> None:
        """`array name size`, the size an integer literal."""
        self._check_new(word, line)
        count = parse_literal(size.text)
        if not isinstance(count, int):
            raise ScriptError(BAD_LITERAL, line, size.column)
        if not 1 <= count <= _LARGEST_ARRAY:
            raise ScriptError(BAD_SIZE, line, size.column)
        self._arrays[word.text] = len(self._script.arrays)
        self._script.arrays.append((word.text, count))

    def arguments(
        self, command: str, kinds: tuple[str, ...], words: list[Word], line: int
    ) -> list[syntax.Argument]:
        """The arguments of a command; every literal is checked against the instrument."""
        if len(words) < len(kinds):
            column = words[-1].column if words else len(command) + 1
            raise ScriptError(UNEXPECTED_CHARACTER, line, column)
        if len(words) > len(kinds):
            option = words[len(kinds)].kind == "option"
            raise ScriptError(BAD_OPTION if option else UNEXPECTED_ARGUMENT, line, words[len(kinds)].column)
        found = [self.argument(kind, word, line) for kind, word in zip(kinds, words, strict=True)]
        for position, argument in enumerate(found):
            refuse = REFUSALS.get((command, position))
            if refuse is not None and isinstance(argument, Literal):
                _refuse(refuse(argument.value), line, words[position])
        return found

    def argument(self, kind: str, word: Word, line: int) -> syntax.Argument:
        """One argument of a kind of script_grammar.SIGNATURES."""
        if (word.kind == "text") != (kind == "text") or word.kind in ("operator", "option"):
            raise ScriptError(UNEXPECTED_CHARACTER, line, word.column)
        if kind == "text":
            return self._text(word, line)
        if kind == "type":
            _refuse(emstat.refuse_type(word.text), line, word)
            return syntax.TypeName(word.text)
        if kind == "array":
            if word.text not in self._arrays:
                raise ScriptError(NOT_DECLARED, line, word.column)
            return syntax.ArrayName(self._arrays[word.text])
        operand = self.operand(word, line)
        _refuse(_kind_refusal(kind, operand), line, word)
        return operand

    def operand(self, word: Word, line: int) -> syntax.Operand:
        """A literal, a variable or an array element."""
        if word.kind != "word" or word.text.endswith(":"):
            raise ScriptError(UNEXPECTED_CHARACTER, line, word.column)
        if word.text[0].isdigit() or word.text[0] == "-":
            value = parse_literal(word.text)
            if value is None:
                raise ScriptError(BAD_LITERAL, line, word.column)
            return Literal(value)
        element = _ELEMENT.match(word.text)
        if element:
            return self._element(element[1], element[2], word, line)
        if "[" in word.text:
            raise ScriptError(BAD_ARRAY_ACCESS, line, word.column)
        if word.text not in self._variables:
            raise ScriptError(NOT_DECLARED, line, word.column)
        return Variable(self._variables[word.text])

    def extra_outputs(self, loop: str, words: list[Word], line: int) -> tuple[syntax.ExtraOutput, ...]:
        """The optional arguments of a measurement loop, in any order.

        Sweeps have `eis_acdc(e_ac e_dc i_ac i_dc)` and `time(t)`, the other loops `add_meas(0 ab x)`.
        """
        found: list[syntax.ExtraOutput] = []
        for word in words:
            if word.kind != "option":
                raise ScriptError(UNEXPECTED_ARGUMENT, line, word.column)
            pairs = _sweep_option(word.text) if loop in SWEEPS else _extra_reading(word.text)
            if not pairs:
                raise ScriptError(BAD_OPTION, line, word.column)
            for kind, name in pairs:
                if name not in self._variables:
                    raise ScriptError(NOT_DECLARED, line, word.column)
                found.append(syntax.ExtraOutput(kind, self._variables[name]))
        return tuple(found)

    def _element(self, array: str, index: str, word: Word, line: int) -> Element:
        if array not in self._arrays:
            raise ScriptError(NOT_DECLARED, line, word.column)
        if not index:
            raise ScriptError(BAD_ARRAY_ACCESS, line, word.column)
        place = self.operand(Word(index, "word", word.column), line)
        if isinstance(place, Element):
            raise ScriptError(BAD_ARRAY_ACCESS, line, word.column)
        return Element(self._arrays[array], place)

    def _text(self, word: Word, line: int) -> Text:
        content = word.text.removeprefix("f")[1:-1]
        if not word.text.startswith("f"):
            return Text((content,))
        if _BRACES.sub("", content).count("{"):
            raise ScriptError(BRACE_NEVER_CLOSED, line, word.column)
        parts: list[str | Variable | Element] = []
        for position, piece in enumerate(_BRACES.split(content)):
            if position % 2 == 0:
                parts.append(piece)
                continue
            operand = self.operand(Word(piece.strip() or "[", "word", word.column), line)
            if isinstance(operand, Literal):
                raise ScriptError(LITERAL_NOT_ALLOWED, line, word.column)
            parts.append(operand)
        return Text(tuple(parts))

    def _check_new(self, word: Word, line: int) -> None:
        if word.kind != "word" or not _NAME.match(word.text):
            raise ScriptError(BAD_NAME, line, word.column)
        if len(word.text) > _LONGEST_NAME:
            raise ScriptError(NAME_TOO_LONG, line, word.column)
        if word.text in self._variables or word.text in self._arrays:
            raise ScriptError(DECLARED_TWICE, line, word.column)


def _extra_reading(option: str) -> list[tuple[str, str]]:
    """Type and variable of `add_meas(0 ab x)`; [] for anything else."""
    match = _ADD_MEAS.match(option)
    return [(match[1], match[2])] if match and match[1] in ("ab", "ba") else []


def _sweep_option(option: str) -> list[tuple[str, str]]:
    """Types and variables of an optional argument of a sweep; [] if there is none such."""
    match = _OPTION.match(option)
    kinds = SWEEP_OPTIONS.get(match[1], ()) if match else ()
    names = match[2].split() if match else []
    return list(zip(kinds, names, strict=True)) if len(kinds) == len(names) else []


def _kind_refusal(kind: str, operand: syntax.Operand) -> int | None:
    if kind == "literal":
        return None if isinstance(operand, Literal) else VARIABLE_NOT_ALLOWED
    if kind == "in":
        return None
    if isinstance(operand, Literal):
        return LITERAL_NOT_ALLOWED
    return ELEMENT_NOT_ALLOWED if kind == "var" and isinstance(operand, Element) else None


def _refuse(code: int | None, line: int, word: Word) -> None:
    if code is not None:
        raise ScriptError(code, line, word.column)


UNKNOWN_COMMAND, TOO_LARGE, NESTED_LOOP, WRONG_SITUATION = 0x4001, 0x4005, 0x400B, 0x400C
WRONG_SCOPE, UNEXPECTED_END, PACKAGE_ORDER = 0x400E, 0x4018, 0x401B
NOT_SUPPORTED, FEATURE_NOT_LICENSED = 0x001B, 0x4034
LARGEST_SCRIPT_BYTE = 131_072


@dataclass(slots=True)
class _Scope:
    """An open block: where its nodes go, and what may close it."""

    kind: str  # script, if, else, loop, measurement, finished
    block: list[syntax.Node]
    node: Branches | ScriptLoop | Measurement | None = None
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
        if isinstance(scope.node, Branches | ScriptLoop | Measurement):
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
                loop = ScriptLoop(self._line, self._condition(head, words), [])
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
