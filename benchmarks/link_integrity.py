"""How sure a receiver is that codes belong to their header: a table for docs/wire-format.md, one for link.md.

    python benchmarks/link_integrity.py [--write]

The first counts, exactly, the patterns of four wrong bits in header and check that checks of 16, 24 and 32
bits take for right, and what a longer check costs. The second sends credit, codes and cost of images over a
seeded bad line and tells what becomes of the codes: nothing is spliced there, so refusals are false alarms.
"""

from __future__ import annotations

import argparse
import itertools
import math
import random
import zlib
from collections import Counter, defaultdict
from collections.abc import Sequence

from doc_block import LINK_PAGE, table, write_block

from semflash.link.codes import pilots
from semflash.link.codes.custody import Custody, Misplaced
from semflash.link.codes.fragments import CodesFormat
from semflash.link.faults.line import FaultLine
from semflash.link.faults.log import FaultLog
from semflash.link.faults.spec import FaultSpec
from semflash.link.frame import Frame, FrameDecoder, FrameType, crc16, encode_frame

BUNDLE, CODE_BYTES, PILOT_BYTES = 0x68549154, 48, 4
_CHECKED_BYTES = 14
#: Bits of the header whose change nothing but the check and the conversation can notice.
_FREE_FIELDS = frozenset({*range(16, 32), *range(64, 96), *range(112, 128)})
LINES = (
    "flip=1e-4",
    "flip=1e-3",
    "flip=3e-3",
    "flip=1e-2",
    "burst=1e-3:8",
    "burst=1e-3:12",
    "burst=1e-3:30",
    "drop=1e-3:1",
)
IMAGES = 20_000
HEADER_HEAD = [
    "check of the header",
    "four wrong bits taken for right",
    "of these in number, request and check alone",
    "more bytes per frame",
    "more bytes up",
]
LINE_HEAD = [
    "line",
    "codes whole",
    "damaged, given out",
    "damaged, refused",
    "refused of damaged",
    "no header came",
    "given out with more than 3/8 of the bits wrong",
]


def syndromes(width: int) -> list[int]:
    """What each single wrong bit of header and check changes in the check's verdict."""
    zero = bytes(_CHECKED_BYTES)
    found = []
    for bit in range(8 * _CHECKED_BYTES):
        changed = bytearray(zero)
        changed[bit // 8] ^= 1 << bit % 8
        if width == 16:
            found.append(crc16(bytes(changed)) ^ crc16(zero))
        else:
            found.append((zlib.crc32(changed) ^ zlib.crc32(zero)) & (1 << width) - 1)
    return found + [1 << bit for bit in range(width)]


def undetected(width: int) -> set[tuple[int, ...]]:
    """All patterns of four wrong bits that the check takes for right."""
    by_sum: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    values = syndromes(width)
    for first, second in itertools.combinations(range(len(values)), 2):
        by_sum[values[first] ^ values[second]].append((first, second))
    return {
        tuple(sorted(one + other))
        for pairs in by_sum.values()
        for one, other in itertools.combinations(pairs, 2)
        if len({*one, *other}) == 4
    }


def header_rows() -> list[list[str]]:
    """One row per width of the check."""
    rows = []
    for width in (16, 24, 32):
        found = undetected(width)
        free = sum(_FREE_FIELDS.issuperset(pattern) for pattern in found) if width == 16 else 0
        extra = (width - 16) // 8
        up = len(encode_frame(Frame(FrameType.CODES, bytes(CODE_BYTES + PILOT_BYTES)))) + 34 + 28
        rows.append(
            [
                f"{width} bits",
                f"{len(found):,} of {math.comb(len(syndromes(width)), 4):,}",
                f"{free}" if found else "0",
                f"{extra}",
                f"{100 * 3 * extra / up:.1f} %",
            ]
        )
    return rows


def frames_of(image: int, codes: bytes) -> list[Frame]:
    """Credit, codes and cost of an image, as a device sends them."""
    number, request = 3 * image, image + 1
    known = pilots.pattern(BUNDLE, (number + 1) & 0xFFFF, request, PILOT_BYTES)
    parts = [
        (FrameType.CREDIT, bytes(6), 0),
        (FrameType.CODES, pilots.merge(codes, known), request),
        (FrameType.IMAGE_STATS, bytes(12), request),
    ]
    return [
        Frame(kind, payload, (number + i) & 0xFFFF, BUNDLE, about)
        for i, (kind, payload, about) in enumerate(parts)
    ]


def judge(spec: str, seed: int) -> Counter[str]:
    """What becomes of the codes of IMAGES images on a line."""
    rng, counts = random.Random(seed), Counter[str]()
    line = FaultLine("up", FaultSpec.parse(spec).up, seed, FaultLog())
    form = CodesFormat(8 * CODE_BYTES, pilot_bytes=PILOT_BYTES)
    custody, decoder = Custody(BUNDLE, form), FrameDecoder()
    sent: dict[int, bytes] = {}
    for image in range(IMAGES):
        sent[image + 1] = codes = rng.randbytes(CODE_BYTES)
        for frame in frames_of(image, codes):
            line.feed(encode_frame(frame), 0.0)
        while piece := line.take(0.0):
            for event in decoder.feed(piece):
                for believed in custody.take(event):
                    counts[_outcome(believed, sent)] += 1
    return counts


def _outcome(believed: object, sent: dict[int, bytes]) -> str:
    if isinstance(believed, Misplaced):
        return "misplaced"
    if not isinstance(believed, Frame) or believed.type != FrameType.CODES:
        return ""
    codes, _ = pilots.split(believed.payload, PILOT_BYTES)
    wrong = (int.from_bytes(codes, "big") ^ int.from_bytes(sent[believed.request], "big")).bit_count()
    if wrong > 4 * CODE_BYTES * 0.75:
        return "strange"
    return "damaged" if believed.damaged else "whole"


def line_rows(lines: Sequence[str], seed: int) -> list[list[str]]:
    """One row per line."""
    rows = []
    for spec in lines:
        counts = judge(spec, seed)
        whole, damaged, misplaced = counts["whole"], counts["damaged"], counts["misplaced"]
        refused = misplaced / (damaged + misplaced) if damaged + misplaced else 0.0
        lost = IMAGES - whole - damaged - misplaced
        rows.append(
            [
                f"`{spec}`",
                *(f"{count:,}" for count in (whole, damaged, misplaced)),
                f"{100 * refused:.2g} %",
                f"{lost:,}",
                f"{counts['strange']}",
            ]
        )
    return rows


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="put the tables into the pages")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    headers = table(HEADER_HEAD, header_rows())
    lines = table(LINE_HEAD, line_rows(LINES, chosen.seed))
    print(headers, lines, sep="\n\n")
    if chosen.write:
        write_block(LINK_PAGE.with_name("wire-format.md"), "headers", "link_integrity.py", headers)
        write_block(LINK_PAGE, "custody", "link_integrity.py", lines)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
