/* Test models by number, for this machine and for the emulator. */
#ifndef BATCH_H
#define BATCH_H

#include <stdint.h>

#include "semflash/encoder.h"

typedef struct test_model {
    sf_status_t (*reset)(void *state);
    sf_status_t (*push_row)(void *state, uint16_t row, const int8_t *values, sf_latent_fn emit, void *context);
    uint32_t rows;
    uint32_t row_bytes;
    uint32_t channels;
    uint32_t state_bytes;
} test_model_t;

extern const test_model_t *const test_models[];

/* Bytes of the latent, or a negative sf_status. */
int batch_run(int index, void *state, const int8_t *image, int8_t *latent);

#endif
