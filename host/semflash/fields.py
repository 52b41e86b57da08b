"""Types of fields in JSON files that semflash reads, with their limits; texts reach terminals."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

CHANNELS_MAX = 256
GDN_LEVELS_MAX = 16
TABLE_LEVELS_MAX = 256
IMAGE_SIDE_MAX = 4096
PAYLOAD_MAX_BYTES = 65_535
CLASSES_MAX = 65_536
#: Numbers in the output of a task tail for one image.
OUTPUTS_MAX = 1 << 24


# \Z, because $ lets a newline at the end pass; no control characters, because texts reach terminals.
Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}\Z")]
FileName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Text = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]*\Z")]
Side = Annotated[int, Meta(ge=1, le=IMAGE_SIDE_MAX)]
Channels = Annotated[int, Meta(ge=1, le=CHANNELS_MAX)]
Int8 = Annotated[int, Meta(ge=-128, le=127)]
Int32 = Annotated[int, Meta(ge=-(1 << 31), le=(1 << 31) - 1)]
Scale = Annotated[float, Meta(gt=0.0, le=1e6)]
Ber = Annotated[float, Meta(ge=0.0, le=0.5)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Count = Annotated[int, Meta(ge=0, le=(1 << 53))]
