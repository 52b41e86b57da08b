#include "sf_model.h"

#define BLOCK  7
#define BLOCKS 4

typedef struct tiny_state {
    int8_t largest[BLOCKS];
    int8_t smallest[BLOCKS];
    uint8_t unused[8];
} tiny_state_t;

_Static_assert(sizeof(tiny_state_t) == 16, "state size");

static void clear(tiny_state_t *state) {
    for (int b = 0; b < BLOCKS; b++) {
        state->largest[b] = -128;
        state->smallest[b] = 127;
    }
}

static sf_status_t reset(void *state) {
    clear((tiny_state_t *)state);
    return SF_OK;
}

static sf_status_t push_row(void *memory, uint16_t row, const int8_t *values, sf_latent_fn emit,
                            void *context) {
    tiny_state_t *state = (tiny_state_t *)memory;
    for (int i = 0; i < SF_MODEL_ROW_BYTES; i++) {
        const int b = i / BLOCK;
        state->largest[b] = values[i] > state->largest[b] ? values[i] : state->largest[b];
        state->smallest[b] = values[i] < state->smallest[b] ? values[i] : state->smallest[b];
    }
    if (row % BLOCK != BLOCK - 1) {
        return SF_OK;
    }
    for (int b = 0; b < BLOCKS; b++) {
        const int8_t latent[SF_MODEL_LATENT_CHANNELS] = {state->largest[b], state->smallest[b],
                                                         values[b * BLOCK + BLOCK - 1]};
        const sf_status_t status = emit(context, latent);
        if (status != SF_OK) {
            return status;
        }
    }
    clear(state);
    return SF_OK;
}

static const int64_t beta[3] = {3238926, 2665227, 18441289};
static const int32_t gamma[9] = {7281, 1122, 1, 265, 574, 0, 0, 165, 1251};
static const int32_t threshold[21] = {
    -45277581, -12191619, -2366920, 4984, 3509581, 15959533, 60773094, /* channel 0 */
    -79407017, -21381448, -4151062, 4984, 3509581, 15959533, 60773094, /* channel 1 */
    -27757087, -7473983,  -1451022, 4984, 3509581, 15959533, 60773094, /* channel 2 */
};
static const sf_gdn_t tail = {
    .channels = SF_MODEL_LATENT_CHANNELS,
    .levels = 8,
    .zero_point = -2,
    .beta = beta,
    .gamma = gamma,
    .threshold = threshold,
};
static const sf_graph_t graph = {
    .rows = SF_MODEL_ROWS,
    .row_bytes = SF_MODEL_ROW_BYTES,
    .latent_positions = SF_MODEL_LATENT_POSITIONS,
    .latent_channels = SF_MODEL_LATENT_CHANNELS,
    .state_bytes = sizeof(tiny_state_t),
    .reset = reset,
    .push_row = push_row,
};
static const sf_tensor_t tensors[3] = {
    {SF_MODEL_ROWS * SF_MODEL_ROW_BYTES, SF_NOT_KEPT},
    {SF_MODEL_LATENT_POSITIONS * SF_MODEL_LATENT_CHANNELS, SF_NOT_KEPT},
#ifdef SF_TINY_STEERED
    {SF_MODEL_LATENT_POSITIONS * SF_MODEL_LATENT_CHANNELS, SF_MODEL_CODES_OFFSET},
#else
    {SF_MODEL_LATENT_POSITIONS * SF_MODEL_LATENT_CHANNELS, SF_NOT_KEPT},
#endif
};
static const sf_stage_t stages[2] = {
    {.kind = SF_STAGE_GRAPH, .source = 0, .output = 1, .by = 0, .as.graph = &graph},
    {.kind = SF_STAGE_GDN, .source = 1, .output = 2, .by = SF_NONE, .as.gdn = &tail},
};
static const sf_region_t regions[1] = {
    {.rows = SF_MODEL_LATENT_POSITIONS,
     .each = SF_MODEL_LATENT_CHANNELS,
     .source = 2,
#ifdef SF_TINY_STEERED
     .items = SF_ITEMS_REST,
     .told_by = 1,
#endif
     .bits = SF_MODEL_BITS_PER_SYMBOL},
};
#ifdef SF_TINY_STEERED
static const sf_control_t controls[2] = {
    {.low = 0, .high = 500, .standard = 5, .id = 3, .sticky = 0},
    {.low = 4, .high = SF_MODEL_PAYLOAD_BYTES, .standard = SF_MODEL_PAYLOAD_BYTES, .id = 9, .sticky = 1},
};
#endif
const sf_program_t sf_model = {
    .runtime_api = SF_RUNTIME_API,
    .bundle_hash = SF_MODEL_BUNDLE_HASH,
    .rows = SF_MODEL_ROWS,
    .row_bytes = SF_MODEL_ROW_BYTES,
    .payload_bytes = SF_MODEL_PAYLOAD_BYTES,
    .n_tensors = 3,
    .n_stages = 2,
    .n_regions = 1,
    .state_bytes = SF_MODEL_STATE_BYTES,
    .tensors = tensors,
    .stages = stages,
    .regions = regions,
#ifdef SF_TINY_STEERED
    .n_controls = 2,
    .control_offset = SF_MODEL_CONTROL_OFFSET,
    .controls = controls,
#endif
    .engine = "test/handmade",
};
