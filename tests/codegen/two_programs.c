/* Two programs in one firmware, behind the door of harness.h: rows of one image go to both by turns.
 *
 * Out come, for the first and then for the second, u16 bits of the payload and the payload, zeros behind its end.
 * The test writes sf_model.h, which gives both headers and the sizes of the two together. Where a program has controls,
 * the first pixel sets the one with id 1. */
#include "harness.h"

#include <string.h>

#include "sf_model.h"

static sf_status_t start(sf_encoder_t *encoder, const sf_program_t *program, uint8_t *state,
                         size_t state_bytes, uint8_t *payload) {
    const sf_status_t status =
        sf_encoder_init(encoder, program, state, state_bytes, payload, program->payload_bytes);
    return status == SF_OK ? sf_encoder_begin(encoder) : status;
}

/* What holds for the next image, which begins again. */
static sf_status_t set(sf_encoder_t *encoder, int8_t pixel) {
    if (encoder->program->n_controls == 0u) {
        return SF_OK;
    }
    const sf_status_t status = sf_encoder_control(encoder, 1, (uint16_t)((uint8_t)pixel % 32u));
    return status == SF_OK ? sf_encoder_begin(encoder) : status;
}

static int8_t *put(int8_t *out, const sf_encoder_t *encoder) {
    const size_t size = encoder->program->payload_bytes;
    out[0] = (int8_t)(encoder->payload_bits & 0xFFu);
    out[1] = (int8_t)(encoder->payload_bits >> 8);
    memset(out + 2, 0, size);
    memcpy(out + 2, encoder->payload, encoder->bits.ready);
    return out + 2 + size;
}

int harness_run(void *state, const int8_t *image, int8_t *latent) {
    uint8_t *behind = (uint8_t *)state + FIRST_STATE;
    uint8_t payloads[FIRST_PAYLOAD_BYTES + SECOND_PAYLOAD_BYTES];
    sf_encoder_t one;
    sf_encoder_t two;
    sf_status_t status = start(&one, &first, (uint8_t *)state, FIRST_STATE, payloads);
    if (status == SF_OK) {
        status = start(&two, &second, behind, SECOND_STATE_BYTES, payloads + FIRST_PAYLOAD_BYTES);
    }
    if (status == SF_OK) {
        status = set(&one, image[0]);
    }
    if (status == SF_OK) {
        status = set(&two, image[0]);
    }
    status = status == SF_OK ? SF_MORE : status;
    for (uint32_t row = 0; row < FIRST_ROWS && status == SF_MORE; row++) {
        status = sf_encoder_push_row(&one, image + (size_t)row * FIRST_ROW_BYTES, FIRST_ROW_BYTES);
        if (status >= SF_OK) {
            status = sf_encoder_push_row(&two, image + (size_t)row * FIRST_ROW_BYTES, FIRST_ROW_BYTES);
        }
    }
    if (status != SF_OK) {
        return status < SF_OK ? (int)status : -100;
    }
    put(put(latent, &one), &two);
    return 0;
}

int harness_image_bytes(void) {
    return FIRST_ROWS * FIRST_ROW_BYTES;
}

int harness_latent_bytes(void) {
    return SF_MODEL_LATENT_POSITIONS * SF_MODEL_LATENT_CHANNELS;
}

int harness_state_bytes(void) {
    return SF_MODEL_STATE_BYTES;
}
