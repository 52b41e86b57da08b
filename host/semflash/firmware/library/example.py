"""The library's example, ten lines of code around the encoder, and its README."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Facts:
    """What manifest, example and README say of the model.

    Attributes:
        bundle: Its name.
        bundle_hash: 64 hex digits.
        identifier: Name of the library for build systems: letters, digits and underscores.
        height: Of an image, pixels.
        width: Of an image, pixels.
        channels: Of an image.
        payload_bytes: Of an image.
        state_bytes: RAM of the encoder.
        constant_bytes: Weights and tables.
        version: Of semflash.
    """

    bundle: str
    bundle_hash: str
    identifier: str
    height: int
    width: int
    channels: int
    payload_bytes: int
    state_bytes: int
    constant_bytes: int
    version: str


_ENCODE = """\
#include "semflash/encoder.h"
#include "sf_model.h"

static uint8_t state[SF_MODEL_STATE_BYTES > 0 ? SF_MODEL_STATE_BYTES : 8] SF_ALIGN8;
uint8_t payload[SF_MODEL_PAYLOAD_BYTES];
static sf_encoder_t encoder;

/* One picture to payload: SF_MODEL_ROWS rows of SF_MODEL_ROW_BYTES values, each pixel minus 128. */
sf_status_t encode(const int8_t *pixels) {
    sf_status_t status =
        sf_encoder_init(&encoder, &sf_model, state, sizeof state, payload, sizeof payload);
    if (status == SF_OK) status = sf_encoder_begin(&encoder);
    for (int row = 0; row < SF_MODEL_ROWS && (status == SF_OK || status == SF_MORE); row++)
        status = sf_encoder_push_row(&encoder, pixels + row * SF_MODEL_ROW_BYTES, SF_MODEL_ROW_BYTES);
    return status; /* SF_OK: payload is complete */
}
"""

_MAIN = """
int main(void) {
    static int8_t picture[SF_MODEL_ROWS * SF_MODEL_ROW_BYTES]; /* from your sensor; here it is grey */
    return encode(picture) == SF_OK ? 0 : 1;
}
"""

_ARDUINO = """
static int8_t picture[SF_MODEL_ROWS * SF_MODEL_ROW_BYTES]; // from your sensor; here it is grey

void setup() { Serial.begin(115200); }

void loop() {
    if (encode(picture) == SF_OK) Serial.write(payload, sizeof payload);
    delay(1000);
}
"""


def example(facts: Facts, format_name: str) -> str:
    """The example's source."""
    head = f"/* {facts.bundle}: a picture of {facts.height}x{facts.width}x{facts.channels} becomes "
    head += f"{facts.payload_bytes} bytes. Made by semflash, yours to change. */\n"
    return head + _ENCODE + (_ARDUINO if format_name == "arduino" else _MAIN)


_USE = {
    "platformio": """\
In platformio.ini of your project:

    lib_deps = symlink://../{identifier}      ; or file://..., or copy this folder into lib/
""",
    "cmake": """\
    add_subdirectory({identifier})
    target_link_libraries(your_firmware PRIVATE {identifier})

On its own: `cmake -S . -B build -DSEMFLASH_EXAMPLE=ON && cmake --build build`.
""",
    "arduino": """\
Copy this folder into `libraries/` of your sketchbook, or zip it and choose Sketch, Include Library,
Add .ZIP Library. Then File, Examples, {identifier}, encode.
""",
    "zephyr": """\
    west build app -- -DZEPHYR_EXTRA_MODULES=/path/to/{identifier}

with `CONFIG_{upper}=y` in prj.conf.
""",
}


def readme(facts: Facts, format_name: str) -> str:
    """The README, with the example."""
    use = _USE[format_name].format(identifier=facts.identifier, upper=facts.identifier.upper())
    code = "".join(f"    {line}\n" if line else "\n" for line in _ENCODE.splitlines())
    return f"""\
# {facts.identifier}

The encoder of the semflash bundle `{facts.bundle}` (`{facts.bundle_hash[:16]}`), made by semflash
{facts.version}: a picture of {facts.height}x{facts.width}x{facts.channels} becomes
{facts.payload_bytes} bytes, bit for bit those that the host computes. C11, no heap, no data of its own:
the caller lends the memory.

| | bytes |
| --- | --- |
| RAM of the encoder, beside its stack | {facts.state_bytes:,} |
| weights and tables in flash, beside the code | {facts.constant_bytes:,} |
| payload | {facts.payload_bytes:,} |

## Use

{use}
## Example

{code}
The values are int8: pixel minus 128, row by row, channels together. Send the payload in any way you like;
`semflash/device.h` has semflash's own framed link, which `semflash monitor --port` reads. On the other side
`semflash.edge.labeller` of the Python package turns payloads into labels.

Apache-2.0, see LICENSE and NOTICE.
"""
