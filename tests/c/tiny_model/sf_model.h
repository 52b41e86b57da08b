/* A handwritten device model for the runtime's tests, with the constants that generated headers have.
 *
 * 28 x 28 x 1 pixels; each 7 x 7 block gives one latent position of 3 channels: largest, smallest and last pixel.
 * GDN tail with 8 levels, 3 bits: 4 x 4 x 3 codes = 18 bytes.
 *
 * With SF_TINY_STEERED the payload is cut at the bytes that control 9 says (4 to 18, default 18, sticky); control 3 (0 to
 * 500, default 5, for one image) does nothing.
 */
#ifndef SF_MODEL_H
#define SF_MODEL_H

#include "semflash/encoder.h"

#define SF_MODEL_ROWS             28
#define SF_MODEL_ROW_BYTES        28
#define SF_MODEL_LATENT_POSITIONS 16
#define SF_MODEL_LATENT_CHANNELS  3
#ifdef SF_TINY_STEERED
#define SF_MODEL_CODES_OFFSET   16
#define SF_MODEL_CONTROL_OFFSET 64
#define SF_MODEL_STATE_BYTES    88
#else
#define SF_MODEL_STATE_BYTES 16
#endif
#define SF_MODEL_PAYLOAD_BYTES   18
#define SF_MODEL_BITS_PER_SYMBOL 3
#define SF_MODEL_BUNDLE_HASH     0x5EED1234u

extern const sf_program_t sf_model;

#endif
