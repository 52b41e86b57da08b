"""Writes the golden text of the generated C again; run it (`make golden`) where a change of it is meant."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parents[2] / "codegen"), str(HERE.parents[2] / "host")]


def main() -> int:
    from codegen.fused.fixed_models import fixed_text

    target = HERE / "golden_model.c.txt"
    temporary = target.with_suffix(".new")
    temporary.write_text(fixed_text(), encoding="utf-8")
    temporary.replace(target)
    print(f"wrote {target.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
