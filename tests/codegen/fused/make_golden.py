"""Writes the golden text of the streaming engine again; run it where a change of the generated C is meant."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parents[2] / "codegen")]


def main() -> int:
    from codegen.fused.batch import streamed
    from codegen.fused.fixed_models import fixed_model
    from semflash_codegen.fused.writer import write

    target = HERE / "golden_model.c.txt"
    temporary = target.with_suffix(".new")
    temporary.write_text(write(streamed(fixed_model()).plan).text, encoding="utf-8")
    temporary.replace(target)
    print(f"wrote {target.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
