"""``semflash completion``: verbs, options, choices and names for the shell, as a script to source."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from semflash.settings import Settings

HELP = "print a script that completes verbs and options in bash, zsh or fish"
EPILOG = """examples:
  semflash completion bash > ~/.local/share/bash-completion/completions/semflash
  semflash completion zsh > ~/.zfunc/_semflash          # with fpath+=~/.zfunc before compinit
  semflash completion fish > ~/.config/fish/completions/semflash.fish

The script holds all options; make it again after an update of semflash."""

SHELLS = ("bash", "zsh", "fish")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own arguments."""
    parser.add_argument("shell", choices=SHELLS)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print the script."""
    del settings
    make = {"bash": _bash, "zsh": _zsh, "fish": _fish}[args.shell]
    print(make(_words()), end="")
    return 0


def _words() -> dict[str, dict[str, tuple[str, ...]]]:
    """Verb -> option -> what may follow it: choices, boards or bundles; empty: files, or nothing."""
    from semflash.bundle.reader import zoo_names
    from semflash.cli.main import VERBS, load_verb, verb_parser
    from semflash.firmware.boards.descriptions import list_boards
    from semflash.training.recipes.catalogue import all_recipes

    boards = tuple(sorted(board.name for board in list_boards()))
    bundles, recipes = tuple(zoo_names()), all_recipes()
    names = {"--board": boards, "--like": boards, "--bundle": bundles}
    first = {"bundle": bundles, "recipe": tuple(sorted(recipes[1]))}
    words: dict[str, dict[str, tuple[str, ...]]] = {}
    for verb in VERBS:
        words[verb] = {}
        for action in verb_parser(verb, load_verb(verb))._actions:
            choices = tuple(map(str, action.choices or ()))
            for option in action.option_strings:
                words[verb][option] = choices or names.get(option, ())
            if not action.option_strings:
                more = words[verb].get("", ())
                words[verb][""] = more + (choices or first.get(action.dest, ()))
    return words


def _options(found: dict[str, tuple[str, ...]]) -> str:
    return " ".join(sorted((*filter(None, found), *found.get("", ()))))


def _bash(words: dict[str, dict[str, tuple[str, ...]]]) -> str:
    verbs = []
    for verb, found in words.items():
        after = "".join(
            f"                {option}) known='{' '.join(values)}' ;;\n"
            for option, values in found.items()
            if option and values
        )
        inner = f"            case $before in\n{after}            esac\n" if after else ""
        verbs.append(f"        {verb})\n            known='{_options(found)}'\n{inner}            ;;\n")
    return f"""\
# bash completion of semflash, printed by `semflash completion bash`.
_semflash() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} known=
    if [ "$COMP_CWORD" -eq 1 ]; then
        known='{" ".join(words)} --help --version --config --verbose'
    else
        case ${{COMP_WORDS[1]}} in
{"".join(verbs)}        esac
    fi
    COMPREPLY=( $(compgen -W "$known" -- "$current") )
}}
complete -o default -F _semflash semflash
"""


def _zsh(words: dict[str, dict[str, tuple[str, ...]]]) -> str:
    head = (
        "#compdef semflash\n"
        "# zsh completion of semflash, printed by `semflash completion zsh`; it uses zsh's bash functions.\n"
        "autoload -U +X bashcompinit && bashcompinit\n"
    )
    return head + _bash(words).partition("\n")[2]


def _fish(words: dict[str, dict[str, tuple[str, ...]]]) -> str:
    from semflash.cli.main import VERBS

    lines = ["# fish completion of semflash, printed by `semflash completion fish`."]
    for verb, found in words.items():
        told = VERBS[verb].replace("\\", "\\\\").replace("'", "\\'")
        lines.append(f"complete -c semflash -n __fish_use_subcommand -f -a {verb} -d '{told}'")
        when = f"-n '__fish_seen_subcommand_from {verb}'"
        if found.get(""):
            lines.append(f"complete -c semflash {when} -a '{' '.join(found[''])}'")
        for option, values in sorted(found.items()):
            if not option:
                continue
            kind = f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}"
            follow = f" -x -a '{' '.join(values)}'" if values else ""
            lines.append(f"complete -c semflash {when} {kind}{follow}")
    return "\n".join(lines) + "\n"
