/* Runs the generated graph for tests: image in, latent out. State and buffers are the caller's (test's) memory. */
#include "harness.h"

#include <string.h>

#include "sf_model.h"

typedef struct collector {
    int8_t *latent;
    uint32_t count;
} collector_t;

static sf_status_t collect(void *context, const int8_t *values) {
    collector_t *to = (collector_t *)context;
    if (to->count >= SF_MODEL_LATENT_POSITIONS) {
        return SF_ERR_KERNEL;
    }
    memcpy(to->latent + (size_t)to->count * SF_MODEL_LATENT_CHANNELS, values, SF_MODEL_LATENT_CHANNELS);
    to->count++;
    return SF_OK;
}

int harness_run(void *state, const int8_t *image, int8_t *latent) {
    collector_t to = {latent, 0};
    const sf_graph_t *graph = sf_model.stages[0].as.graph;
    sf_status_t status = graph->reset(state);
    for (uint16_t row = 0; row < SF_MODEL_ROWS && status >= SF_OK; row++) {
        status = graph->push_row(state, row, image + (size_t)row * SF_MODEL_ROW_BYTES, collect, &to);
    }
    if (status < SF_OK) {
        return (int)status;
    }
    return to.count == SF_MODEL_LATENT_POSITIONS ? 0 : -100;
}

int harness_image_bytes(void) {
    return SF_MODEL_ROWS * SF_MODEL_ROW_BYTES;
}

int harness_latent_bytes(void) {
    return SF_MODEL_LATENT_POSITIONS * SF_MODEL_LATENT_CHANNELS;
}

int harness_state_bytes(void) {
    return SF_MODEL_STATE_BYTES;
}
