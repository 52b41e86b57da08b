"""Small pieces of C text. Same input, same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_WIDTH = 110


def array(ctype: str, name: str, values: Iterable[int], *, shared: bool = False, alignment: int = 0) -> str:
    """A constant table, wrapped at 110 columns; shared: other files may use it.

    >>> array("int8_t", "weights", [1, -2])
    'static const int8_t weights[2] = {\\n    1, -2,\\n};\\n'
    """
    texts = [literal(ctype, v) for v in values]
    aligned = f" __attribute__((aligned({alignment})))" if alignment else ""
    return f"{_storage(shared)} {ctype} {name}[{len(texts)}]{aligned} = {{\n{wrap(texts)}}};\n"


def structs(ctype: str, name: str, rows: Sequence[Sequence[tuple[str, str]]]) -> str:
    """A constant table of structs with designated initialisers, one in a line.

    >>> structs("sf_tensor_t", "tensors", [[("bytes", "4"), ("offset", "0")]])
    'static const sf_tensor_t tensors[1] = {\\n    {.bytes = 4, .offset = 0},\\n};\\n'
    """
    lines = [", ".join(f".{field} = {value}" for field, value in fields) for fields in rows]
    body = "".join(f"    {{{line}}},\n" for line in lines)
    return f"static const {ctype} {name}[{len(rows)}] = {{\n{body}}};\n"


def _storage(shared: bool) -> str:
    return "const" if shared else "static const"


def literal(ctype: str, value: int) -> str:
    """An integer constant of the type, without compiler warnings at the type's edges.

    >>> literal("int32_t", -2147483648), literal("int64_t", 5), literal("int8_t", -128)
    ('INT32_MIN', 'INT64_C(5)', '-128')
    """
    if ctype == "int32_t" and value == -(1 << 31):
        return "INT32_MIN"
    return f"INT64_C({value})" if ctype == "int64_t" else str(value)


def wrap(texts: Sequence[str], indent: str = "    ") -> str:
    """Comma-separated lines of at most 110 columns, each with the indent and a newline."""
    lines: list[str] = []
    line = indent
    for text in texts:
        if len(line) + len(text) + 2 > _WIDTH and line != indent:
            lines.append(line.rstrip() + "\n")
            line = indent
        line += text + ", "
    if line != indent:
        lines.append(line.rstrip() + "\n")
    return "".join(lines)


def struct(ctype: str, name: str, fields: Sequence[tuple[str, str]], *, shared: bool = False) -> str:
    """A constant struct with designated initialisers; shared: other files may use it.

    >>> struct("sf_add_t", "layer0", [("size", "4")])
    'static const sf_add_t layer0 = {\\n    .size = 4,\\n};\\n'
    """
    body = "".join(f"    .{field} = {value},\n" for field, value in fields)
    return f"{_storage(shared)} {ctype} {name} = {{\n{body}}};\n"


def define(name: str, value: object) -> str:
    """A #define line.

    >>> define("SF_MODEL_ROWS", 28)
    '#define SF_MODEL_ROWS 28\\n'
    """
    return f"#define {name} {value}\n"


def comment(text: str) -> str:
    """Text made safe for a one-line comment: printable ASCII, no comment ends, no line splices.

    >>> comment("a */ b")
    'a __ b'
    """
    clean = "".join(c if c.isascii() and c.isprintable() and c != "\\" else "_" for c in text)
    return clean.replace("*/", "__").replace("/*", "__").replace("??", "__")
