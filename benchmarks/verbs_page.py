"""Write docs/verbs.md from the parsers of the verbs, so that no flag is missing and none is made up.

python benchmarks/verbs_page.py            # write
python benchmarks/verbs_page.py --check    # exit 1 when the page is not what the parsers say
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from semflash.cli.main import VERBS, load_verb, verb_parser

PAGE = Path(__file__).resolve().parent.parent / "docs" / "verbs.md"
#: On every verb, said once.
COMMON = ("help", "verbose", "config")
HEAD = """# Verbs

Written by `benchmarks/verbs_page.py` from the parsers themselves. Every verb has `--help`, `-v` (the
traceback of an error) and `--config FILE` (settings; default: `semflash.toml` found upward). What a flag
overrides: [settings.md](settings.md).

"""


def main() -> int:
    """Write or compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    text = page()
    if not parser.parse_args().check:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
        print("docs/verbs.md is stale: python benchmarks/verbs_page.py", file=sys.stderr)
        return 1
    return 0


def page() -> str:
    """The whole page."""
    listed = "\n".join(f"| [`{name}`](#{name}) | {_cell(text)} |" for name, text in VERBS.items())
    return HEAD + "| verb | what |\n| --- | --- |\n" + listed + "\n" + "".join(map(section, VERBS))


def section(verb: str) -> str:
    """One verb: what it does, its arguments, its own words."""
    module = load_verb(verb)
    actions = [action for action in verb_parser(verb, module)._actions if action.dest not in COMMON]
    rows = "".join(row(action) for action in actions if action.help != argparse.SUPPRESS)
    table = f"| argument | what |\n| --- | --- |\n{rows}\n" if rows else ""
    words = "\n".join(f"    {line}".rstrip() for line in module.EPILOG.strip("\n").splitlines())
    return f"\n## {verb}\n\n{module.HELP[0].upper()}{module.HELP[1:]}.\n\n{table}{words}\n"


def row(action: argparse.Action) -> str:
    """A line of the table of arguments."""
    value = ""
    if action.nargs != 0:
        choices = f"{{{','.join(map(str, action.choices))}}}" if action.choices is not None else ""
        metavar = action.metavar if isinstance(action.metavar, str) else None
        value = metavar or choices or action.dest.upper()
    names = ", ".join(action.option_strings)
    needed = "needed; " if action.required and action.option_strings else ""
    return f"| `{_cell(f'{names} {value}'.strip())}` | {needed}{_cell(action.help or '')} |\n"


def _cell(text: str) -> str:
    """Text that ends no cell of a table."""
    return text.replace("|", "\\|").replace("%%", "%")


if __name__ == "__main__":
    raise SystemExit(main())
