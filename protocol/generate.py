"""Write what protocol/wire.toml gives: the C header, the Python constants, the tables of docs/wire-format.md.

python protocol/generate.py           # write the three files
python protocol/generate.py --check   # exit 1 when one of them is not what the table gives
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "protocol" / "wire.toml"
HEADER = ROOT / "device" / "include" / "semflash" / "wire.h"
CONSTANTS = ROOT / "host" / "semflash" / "link" / "wire.py"
PAGE = ROOT / "docs" / "wire-format.md"
SIZES = {"u8": 1, "u16": 2, "u32": 4, "u64": 8}
FORMATS = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q"}
#: Frames from the device have this bit in their type.
FROM_DEVICE = 0x80

Wire = dict[str, Any]
Rows = list[dict[str, Any]]


def read_table() -> Wire:
    """The table, checked for numbers and names that occur twice.

    Raises:
        ValueError: one does.
    """
    wire = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    keys = {"type": "value", "refusal": "value", "counter": "value", "reset": "value", "hello": "tag"}
    for name, key in {**keys, "capability": "bit"}.items():
        for part in (key, "name"):
            values = [row[part] for row in wire[name]]
            if len(set(values)) != len(values):
                raise ValueError(f"[[{name}]] has the same {part} twice: {values}")
    return wire


def offsets(fields: Rows) -> list[int]:
    """Where fields of fixed size begin, one behind the other; the last number is behind all."""
    found = [0]
    for row in fields:
        found.append(found[-1] + SIZES[row["type"]])
    return found


def value_bytes(entry: dict[str, Any]) -> int:
    """The most bytes of a HELLO entry's value."""
    return sum(SIZES.get(kind, entry.get("most", 0)) for _, kind in entry["fields"])


def _bytes(fields: list[list[str]]) -> int:
    return sum(SIZES[kind] for _, kind in fields)


def _entries_bytes(wire: Wire) -> int:
    """Of all HELLO entries but the list of controls, at their longest."""
    return sum(2 + value_bytes(entry) for entry in wire["hello"] if entry["name"] != "CONTROLS")


def is_fixed(entry: dict[str, Any]) -> bool:
    """Whether a HELLO entry's value has one length."""
    return all(kind in SIZES for _, kind in entry["fields"])


# The C header.


def c_header(wire: Wire) -> str:
    """device/include/semflash/wire.h."""
    protocol, prefix = wire["protocol"], wire["prefix"]
    at, front = offsets(wire["header"]), offsets(wire["prefix_field"])
    lines = [
        "/* Constants of the wire format. Written by protocol/generate.py from protocol/wire.toml. */",
        "/* clang-format off */",
        "#ifndef SEMFLASH_WIRE_H",
        "#define SEMFLASH_WIRE_H",
        "",
        f"#define SF_PROTOCOL_VERSION {protocol['version']}u",
        f"#define SF_FRAME_PAYLOAD_MAX {protocol['payload_max']}u",
        f"#define SF_FRAME_HEADER {at[-1]}u /* bytes */",
        "#define SF_FRAME_TRAILER 4u",
        "",
        "/* Offsets of the header's fields. */",
        "enum {",
        *(f"    SF_AT_{row['name'].upper()} = {at[i]}," for i, row in enumerate(wire["header"])),
        "};",
        "",
        "typedef enum sf_frame_type {",
        *(f"    SF_FRAME_{row['name']} = 0x{row['value']:02X}," for row in wire["type"]),
        "} sf_frame_type_t;",
        "",
        "/* Types have no gaps: SF_FRAME_FIRST to _LAST from the host, SF_FRAME_DEVICE_* from the device. */",
        *_type_bounds(wire["type"]),
        "",
        "/* Reasons of REFUSED. */",
        *_c_enum("refusal", "SF_REFUSED_", wire["refusal"]),
        "",
        *_c_enum("counter_kind", "SF_COUNTER_", wire["counter"]),
        "",
        *_c_enum("reset_cause", "SF_RESET_", wire["reset"]),
        "",
        "/* Capabilities in HELLO. */",
        *(
            f"#define SF_CAN_{row['name']} 0x{1 << row['bit']:08X}u /* {row['note']} */"
            for row in wire["capability"]
        ),
        "",
        "/* Entries of HELLO: u8 tag, u8 length, value. _BYTES: the most bytes of a value. */",
        "enum {",
        *(f"    SF_HELLO_{row['name']} = {row['tag']}," for row in wire["hello"]),
        "};",
        *(f"#define SF_HELLO_{row['name']}_BYTES {value_bytes(row)}u" for row in wire["hello"]),
        f"#define SF_HELLO_ENTRIES_BYTES {_entries_bytes(wire)}u /* all but CONTROLS */",
        "",
        "/* Bytes of payloads of fixed size; ROWS begins with so many. */",
        *(f"#define SF_{name.upper()}_BYTES {_bytes(fields)}u" for name, fields in wire["layout"].items()),
        "",
        "/* Places of LINK_STATS' u32. */",
        "enum {",
        *(f"    SF_LINK_STATS_{row['name'].upper()} = {i}," for i, row in enumerate(wire["link_stats"])),
        "};",
        f"#define SF_LINK_STATS_COUNT {len(wire['link_stats'])}u",
        "",
        "/* CONTROL: u8 id, u8 size, value; the id of the link's own control. */",
        f"#define SF_CONTROL_STREAM {wire['control']['stream']}u",
        "#define SF_SETTING_HEADER 2u",
        "",
        "/* The prefix of CODES_PART: these fields, then a u16 for each control, then a CRC-16. */",
        f"#define SF_PREFIX_FORMAT {prefix['format']}u",
        f"#define SF_PREFIX_LAST 0x{prefix['last']:02X}u",
        f"#define SF_PREFIX_STREAMED 0x{prefix['streamed']:02X}u",
        "enum {",
        *(
            f"    SF_PREFIX_AT_{row['name'].upper()} = {front[i]},"
            for i, row in enumerate(wire["prefix_field"])
        ),
        f"    SF_PREFIX_AT_VALUES = {front[-1]},",
        "};",
        f"#define SF_PREFIX_BYTES(controls) ({front[-1]}u + 2u * (controls) + 2u)",
        "",
        "#endif",
    ]
    return "\n".join(lines) + "\n"


def _type_bounds(types: Rows) -> list[str]:
    """The first and last type of each direction.

    Raises:
        ValueError: a direction has a gap.
    """
    lines = []
    for word, from_device in (("", False), ("DEVICE_", True)):
        own = [row for row in types if bool(row["value"] & FROM_DEVICE) is from_device]
        values = [row["value"] for row in own]
        if values != list(range(values[0], values[0] + len(values))):
            raise ValueError(f"[[type]] must be in order and without gaps: {values}")
        lines.append(f"#define SF_FRAME_{word}FIRST SF_FRAME_{own[0]['name']}")
        lines.append(f"#define SF_FRAME_{word}LAST SF_FRAME_{own[-1]['name']}")
    return lines


def _c_enum(name: str, prefix: str, rows: Rows) -> list[str]:
    body = [f"    {prefix}{row['name']} = {row['value']}, /* {_text(row)} */" for row in rows]
    return [f"typedef enum sf_{name} {{", *body, f"}} sf_{name}_t;"]


def _text(row: dict[str, Any]) -> str:
    return f"{row['text']} ({row['note']})" if "note" in row else str(row["text"])


# The Python constants.


def python_constants(wire: Wire) -> str:
    """host/semflash/link/wire.py."""
    protocol, prefix = wire["protocol"], wire["prefix"]
    line = [row["value"] for row in wire["refusal"] if row.get("line")]
    lines = [
        '"""Constants of the wire format.',
        "",
        "Written by protocol/generate.py from protocol/wire.toml; not to be edited.",
        '"""',
        "",
        "from __future__ import annotations",
        "",
        "import enum",
        "",
        f"PROTOCOL_VERSION = {protocol['version']}",
        "#: Versions whose devices are asked as well, so that they can be refused by name.",
        f"EARLIER_VERSIONS = {tuple(protocol['earlier'])}",
        f"PAYLOAD_MAX = {protocol['payload_max']:_}",
        f"HEADER_BYTES = {offsets(wire['header'])[-1]}",
        "TRAILER_BYTES = 4",
        "#: For struct: the header without its CRC-16.",
        f'HEADER_FORMAT = "{_struct(wire["header"][:-1])}"',
        "#: Bit of the type of frames that come from the device.",
        f"FROM_DEVICE = 0x{FROM_DEVICE:02X}",
        "",
        "",
        "class FrameType(enum.IntEnum):",
        '    """Types of docs/wire-format.md; 0x8x come from the device."""',
        "",
        *(f"    {row['name']} = 0x{row['value']:02X}" for row in wire["type"]),
        "",
        "",
        "class Refusal(enum.IntEnum):",
        '    """Reasons of REFUSED."""',
        "",
        *(f"    {row['name']} = {row['value']}" for row in wire["refusal"]),
        "",
        "",
        *_dict("REFUSALS", wire["refusal"], "value"),
        "#: Refusals that a bad line explains; the others say that the device cannot take such images.",
        f"REFUSED_FOR_THE_LINE = frozenset({{{', '.join(map(str, line))}}})",
        *_dict("COUNTER_KINDS", wire["counter"], "value"),
        *_dict("RESET_CAUSES", wire["reset"], "value"),
        "#: Bits of HELLO's capabilities.",
        *_dict("CAPABILITIES", wire["capability"], "bit"),
        "",
        "",
        "class HelloTag(enum.IntEnum):",
        '    """Entries of HELLO: u8 tag, u8 length, value."""',
        "",
        *(f"    {row['name']} = {row['tag']}" for row in wire["hello"]),
        "",
        "",
        "#: For struct: the values of HELLO's entries that have one length.",
        "HELLO_FORMATS = {",
        *(
            f'    HelloTag.{row["name"]}: "<{"".join(FORMATS[kind] for _, kind in row["fields"])}",'
            for row in wire["hello"]
            if is_fixed(row)
        ),
        "}",
        "#: The most bytes of the others.",
        "HELLO_MOST_BYTES = {",
        *(f"    HelloTag.{r['name']}: {value_bytes(r)}," for r in wire["hello"] if not is_fixed(r)),
        "}",
        "#: Entries that no HELLO may lack.",
        "HELLO_REQUIRED = (",
        *(f"    HelloTag.{row['name']}," for row in wire["hello"] if row.get("required")),
        ")",
        "",
        "#: For struct: payloads of fixed size; ROWS begins with its fields.",
        *(
            f'{name.upper()}_FORMAT = "<{"".join(FORMATS[kind] for _, kind in fields)}"'
            for name, fields in wire["layout"].items()
        ),
        "",
        "#: The u32 of LINK_STATS, in order.",
        "LINK_STATS = (",
        *(f'    "{row["name"]}",' for row in wire["link_stats"]),
        ")",
        "",
        "#: Id of the link's own control; those of a program are 1..255.",
        f"CONTROL_STREAM = {wire['control']['stream']}",
        "",
        f"PREFIX_FORMAT = {prefix['format']}",
        f"PREFIX_LAST = 0x{prefix['last']:02X}",
        f"PREFIX_STREAMED = 0x{prefix['streamed']:02X}",
        "#: For struct: the prefix of CODES_PART before the controls' values and the CRC-16.",
        f'PREFIX_HEAD = "{_struct(wire["prefix_field"])}"',
    ]
    return "\n".join(lines) + "\n"


def _struct(fields: Rows) -> str:
    return "<" + "".join(FORMATS[row["type"]] for row in fields)


def _dict(name: str, rows: Rows, key: str) -> list[str]:
    return [f"{name} = {{", *(f'    {row[key]}: "{row["text"]}",' for row in rows), "}"]


# The tables of the page.


def page_tables(wire: Wire) -> dict[str, str]:
    """The tables of docs/wire-format.md by the names of their markers."""
    at, front = offsets(wire["header"]), offsets(wire["prefix_field"])
    end = at[-1]
    frame = [
        *(
            (str(at[i]), str(SIZES[r["type"]]), _words(r["name"]), r["meaning"])
            for i, r in enumerate(wire["header"])
        ),
        (str(end), "n", "payload", ""),
        (
            f"{end}+n",
            "4",
            "CRC-32",
            f"CRC-32 (IEEE 802.3) over all bytes before it, 0..{end - 1}+n: header with its CRC, and payload",
        ),
    ]
    k = front[-1]
    prefix = [
        *(
            (str(front[i]), str(SIZES[r["type"]]), r["name"], r["meaning"])
            for i, r in enumerate(wire["prefix_field"])
        ),
        (
            str(k),
            "2 k",
            "values",
            "u16 each: the values used for this image, in the order of HELLO's CONTROLS",
        ),
        (
            f"{k} + 2 k",
            "2",
            "CRC-16",
            "CRC-16/CCITT-FALSE over the first 14 bytes of the frame's header and the prefix before it",
        ),
    ]
    return {
        "frame": _table(("offset", "bytes", "field", "meaning"), frame),
        "types": _table(
            ("value", "name", "direction", "payload"),
            [(f"0x{r['value']:02X}", r["name"], _direction(r["value"]), r["payload"]) for r in wire["type"]],
        ),
        "refusals": _table(("reason", "meaning"), [(str(r["value"]), r["text"]) for r in wire["refusal"]]),
        "hello": _table(
            ("tag", "name", "bytes", "value", ""),
            [
                (
                    str(r["tag"]),
                    r["name"],
                    str(value_bytes(r)) if is_fixed(r) else f"up to {value_bytes(r)}",
                    r["meaning"],
                    "" if r.get("required") else "optional",
                )
                for r in wire["hello"]
            ],
        ),
        "numbers": _table(
            ("number", "counter kind", "reset cause", "bit of the capabilities"), _numbers(wire)
        ),
        "link stats": _table(
            ("offset", "name", "counts"),
            [(str(4 * i), r["name"], r["meaning"]) for i, r in enumerate(wire["link_stats"])],
        ),
        "control": _table(
            ("field", "type", "meaning"), [(r["name"], r["type"], r["meaning"]) for r in wire["setting"]]
        ),
        "prefix": _table(("offset", "bytes", "field", "meaning"), prefix),
    }


def _numbers(wire: Wire) -> list[tuple[str, ...]]:
    columns = [
        {row[key]: _text(row) for row in wire[name]}
        for name, key in (("counter", "value"), ("reset", "value"), ("capability", "bit"))
    ]
    most = max(max(column) for column in columns)
    return [(str(n), *(column.get(n, "") for column in columns)) for n in range(most + 1)]


def _direction(value: int) -> str:
    return "device to host" if value & FROM_DEVICE else "host to device"


def _words(name: str) -> str:
    return name.replace("_crc", " CRC")


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def page(wire: Wire, text: str) -> str:
    """docs/wire-format.md with its tables.

    Raises:
        ValueError: the page lacks a marker.
    """
    for name, table in page_tables(wire).items():
        begin, end = f"<!-- {name}: written by protocol/generate.py -->", f"<!-- end {name} -->"
        pattern = re.compile(re.escape(begin) + r"\n.*?" + re.escape(end), re.DOTALL)
        if not pattern.search(text):
            raise ValueError(f"{PAGE.name} has no place for the table '{name}': {begin}")
        block = f"{begin}\n{table}\n{end}"
        text = pattern.sub(lambda _, block=block: block, text)  # type: ignore[misc]
    return text


def outputs() -> dict[Path, str]:
    """The three files and what they must hold."""
    wire = read_table()
    made: dict[Path, Callable[[Wire], str]] = {HEADER: c_header, CONSTANTS: python_constants}
    texts = {path: make(wire) for path, make in made.items()}
    texts[PAGE] = page(wire, PAGE.read_text(encoding="utf-8"))
    return texts


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    chosen = parser.parse_args()
    stale = [path for path, text in outputs().items() if not path.exists() or path.read_text() != text]
    if chosen.check and stale:
        names = ", ".join(str(path.relative_to(ROOT)) for path in stale)
        print(f"not what protocol/wire.toml gives: {names}; run python protocol/generate.py", file=sys.stderr)
        return 1
    for path in stale:
        path.write_text(outputs()[path], encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
