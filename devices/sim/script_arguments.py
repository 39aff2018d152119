"""From words to arguments: literals, variables, array elements, types, strings, optional arguments."""

from __future__ import annotations

import re

from devices.sim import emstat
from devices.sim import script_syntax as syntax
from devices.sim.packages import parse_literal
from devices.sim.script_grammar import REFUSALS, SWEEP_OPTIONS, SWEEPS
from devices.sim.script_syntax import Element, Literal, ScriptError, Text, Variable
from devices.sim.script_words import BAD_LITERAL, UNEXPECTED_CHARACTER, Word

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
