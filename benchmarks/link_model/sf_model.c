#include "sf_model.h"

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
static const sf_table_t tail = {.channels = 1, .levels = 256, .table = same};
static const sf_graph_t graph = {
    .rows = SF_MODEL_ROWS,
    .row_bytes = SF_MODEL_ROW_BYTES,
    .latent_positions = SF_MODEL_LATENT_POSITIONS,
    .latent_channels = 1,
    .state_bytes = 0,
    .reset = reset,
    .push_row = push_row,
};
static const sf_tensor_t tensors[3] = {
    {SF_MODEL_ROWS * SF_MODEL_ROW_BYTES, SF_NOT_KEPT},
    {SF_MODEL_LATENT_POSITIONS * SF_MODEL_LATENT_CHANNELS, SF_NOT_KEPT},
    {SF_MODEL_LATENT_POSITIONS * SF_MODEL_LATENT_CHANNELS, SF_NOT_KEPT},
};
static const sf_stage_t stages[2] = {
    {.kind = SF_STAGE_GRAPH, .source = 0, .output = 1, .by = 0, .as.graph = &graph},
    {.kind = SF_STAGE_TABLE, .source = 1, .output = 2, .by = SF_NONE, .as.table = &tail},
};
static const sf_region_t regions[1] = {
    {.rows = SF_MODEL_LATENT_POSITIONS,
     .each = SF_MODEL_LATENT_CHANNELS,
     .source = 2,
     .bits = SF_MODEL_BITS_PER_SYMBOL},
};
const sf_program_t sf_model = {
    .runtime_api = SF_RUNTIME_API,
    .bundle_hash = SF_MODEL_BUNDLE_HASH,
    .rows = SF_MODEL_ROWS,
    .row_bytes = SF_MODEL_ROW_BYTES,
    .payload_bytes = SF_MODEL_PAYLOAD_BYTES,
    .n_tensors = 3,
    .n_stages = 2,
    .n_regions = 1,
    .state_bytes = 0,
    .tensors = tensors,
    .stages = stages,
    .regions = regions,
    .engine = "pixels",
};
