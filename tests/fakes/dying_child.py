"""A child of semflash.runtime.child that does what its parcel says."""

from __future__ import annotations

import os
import sys
import time

from semflash.runtime.child_side import Answers, limit_process, parcel


def main() -> int:
    """Answer, or die in the way asked for."""
    limit_process(2 << 30, 2)
    answers, wish = Answers(), parcel().decode()
    answers.stage("first\nstage")
    answers.stage(wish)
    if wish == "abort":
        print("assertion failed: it was asked for", file=sys.stderr, flush=True)
        os.abort()
    if wish == "memory":
        return len(bytearray(3 << 30))
    if wish == "processor":
        while True:
            pass
    if wish == "sleep":
        time.sleep(60)
    if wish == "print":
        os.write(1, b"result\nforged")
    answers.result(b"fine\n" * 3)
    return 7 if wish == "code" else 0


if __name__ == "__main__":
    sys.exit(main())
