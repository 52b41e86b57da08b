#include "sf_model.h"

#include "semflash/tail.h"

static sf_status_t reset(void *state) {
    (void)state;
    return SF_OK;
}

static sf_status_t push_row(void *state, uint16_t row, const int8_t *values, sf_latent_fn emit,
                            void *context) {
    (void)state;
    (void)row;
    sf_status_t status = SF_OK;
    for (uint32_t i = 0; i < LINK_CODES_PER_ROW && status == SF_OK; i++) {
        status = emit(context, &values[i % SF_MODEL_ROW_BYTES]);
    }
    return status;
}

#define EIGHT(n) (n), (n) + 1, (n) + 2, (n) + 3, (n) + 4, (n) + 5, (n) + 6, (n) + 7
#define SIXTY4(n)                                                                                            \
    EIGHT(n), EIGHT((n) + 8), EIGHT((n) + 16), EIGHT((n) + 24), EIGHT((n) + 32), EIGHT((n) + 40),            \
        EIGHT((n) + 48), EIGHT((n) + 56)

static const uint8_t same[256] = {SIXTY4(0), SIXTY4(64), SIXTY4(128), SIXTY4(192)};
static const sf_tail_t tail = {.kind = SF_TAIL_TABLE, .channels = 1, .levels = 256, .table = same};
static const sf_graph_t graph = {
    .rows = SF_MODEL_ROWS,
    .row_bytes = SF_MODEL_ROW_BYTES,
    .latent_positions = SF_MODEL_LATENT_POSITIONS,
    .latent_channels = 1,
    .state_bytes = 0,
    .reset = reset,
    .push_row = push_row,
};
const sf_model_t sf_model = {
    .runtime_api = SF_RUNTIME_API,
    .bundle_hash = SF_MODEL_BUNDLE_HASH,
    .graph = &graph,
    .tail = &tail,
    .payload_bytes = SF_MODEL_PAYLOAD_BYTES,
    .bits_per_symbol = SF_MODEL_BITS_PER_SYMBOL,
    .engine = "pixels",
};
