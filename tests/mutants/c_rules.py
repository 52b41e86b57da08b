"""Changes of C source, made on its tokens; it knows the layout that clang-format gives.

Comments, texts, preprocessor lines, static asserts and declarations at file level are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mutants.mutant import Change

_BLANKED = re.compile(rb'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|^[ \t]*#(?:[^\n]*\\\n)*[^\n]*', re.S | re.M)
_FUNCTION = re.compile(rb"^[a-z][^;{}()=]*?\b(\w+)\([^;{}]*\)\s*\{", re.M)
#: Token (with what must stand around it) and what takes its place; binary operators stand between blanks.
_OPERATORS = [
    (rb" (<) ", "<="),
    (rb" (<=) ", "<"),
    (rb" (>) ", ">="),
    (rb" (>=) ", ">"),
    (rb" (==) ", "!="),
    (rb" (!=) ", "=="),
    (rb" (&&) ", "||"),
    (rb" (\|\|) ", "&&"),
    (rb" (\+) ", "-"),
    (rb" (-) ", "+"),
    (rb" (\*) ", "+"),
    (rb" (/) ", "*"),
    (rb" (%) ", "/"),
    (rb" (<<) ", ">>"),
    (rb" (>>) ", "<<"),
    (rb" (&) ", "|"),
    (rb" (\|) ", "&"),
    (rb" (\^) ", "|"),
    (rb" (\+=) ", "-="),
    (rb" (-=) ", "+="),
    (rb" (\|=) ", "&="),
    (rb" (&=) ", "|="),
    (rb" (\^=) ", "|="),
    (rb"[\w\])](\+\+)", "--"),
    (rb"[\w\])](--)", "++"),
    (rb"[ (](!)[\w(]", ""),
    (rb"\b(break);", "continue"),
    (rb"\b(continue);", "break"),
    (rb"\b(true)\b", "false"),
    (rb"\b(false)\b", "true"),
]
_NUMBER = re.compile(rb"(?<![\w.])(0x[0-9A-Fa-f]+|\d+)([uUlL]*)(?![\w.])")
_STATEMENT = re.compile(
    rb"^[ \t]+((?:[\w.\[\]>*(&-][^;{}\n=]*? [-+|&^*]?= |(?:\(void\))?\w+\()[^;{}]*;)$", re.M
)
_DECLARATION = re.compile(rb"^(?:const |static |struct |u?int\d+_t |size_t |sf_\w+_t |bool |return\b)")


def changes(source: bytes) -> list[Change]:
    """All changes that the rules propose for a C file."""
    code = _BLANKED.sub(lambda found: re.sub(rb"[^\n]", b" ", found[0]), source)
    bodies = list(_bodies(code))
    found = []
    for rule, start, end, new in _all(code):
        scope = next((name for name, first, last in bodies if first <= start < last), None)
        line = code.count(b"\n", 0, start) + 1
        if scope is not None:
            found.append(Change(start, end, line, scope, rule, source[start:end].decode(), new))
    return found


def _bodies(code: bytes) -> Iterator[tuple[str, int, int]]:
    """Name, first and last offset of each function's body."""
    for match in _FUNCTION.finditer(code):
        end = code.find(b"\n}", match.end())
        yield match[1].decode(), match.end(), end


def _all(code: bytes) -> Iterator[tuple[str, int, int, str]]:
    for pattern, new in _OPERATORS:
        for match in re.finditer(pattern, code):
            yield "operator", match.start(1), match.end(1), new
    for match in _NUMBER.finditer(code):
        value = int(match[1], 0)
        for other in {value + 1, max(value - 1, 0)} - {value}:
            yield "constant", match.start(), match.end(), f"{other}{match[2].decode()}"
    for match in re.finditer(rb"\b(?:if|while) \(", code):
        end = _closing(code, match.end() - 1)
        yield "condition never", match.end(), end, "0"
        if match[0].startswith(b"if"):
            yield "condition always", match.end(), end, "1"
    for match in _STATEMENT.finditer(code):
        if not _DECLARATION.match(match[1]):
            yield "statement left out", match.start(1), match.end(1), "(void)0;"


def _closing(code: bytes, start: int) -> int:
    """Offset of the bracket that closes the one at `start`."""
    depth = 0
    for index in range(start, len(code)):
        depth += (code[index : index + 1] == b"(") - (code[index : index + 1] == b")")
        if depth == 0:
            return index
    raise ValueError(f"a bracket at {start} is not closed")
