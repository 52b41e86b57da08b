/* A device model that costs nothing, so that a measurement sees the link alone: codes are pixels, in any number. */
#ifndef SF_MODEL_H
#define SF_MODEL_H

#include "semflash/encoder.h"

/* SF_MODEL_ROWS, SF_MODEL_ROW_BYTES and LINK_CODES_PER_ROW come from the command line. */
#define SF_MODEL_LATENT_POSITIONS (SF_MODEL_ROWS * LINK_CODES_PER_ROW)
#define SF_MODEL_LATENT_CHANNELS  1
#define SF_MODEL_STATE_BYTES      8
#define SF_MODEL_PAYLOAD_BYTES    SF_MODEL_LATENT_POSITIONS
#define SF_MODEL_BITS_PER_SYMBOL  8
#define SF_MODEL_BUNDLE_HASH      0x11223344u

extern const sf_program_t sf_model;

#endif
