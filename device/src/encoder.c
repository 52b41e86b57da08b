#include "semflash/encoder.h"

#include <string.h>

/* The tail works on one latent vector at a time, in a buffer on the stack. */
#define CHANNELS_MAX SF_ENCODER_CHANNELS_MAX

static uint32_t payload_bits(const sf_model_t *model) {
    return (uint32_t)model->graph->latent_positions * model->graph->latent_channels * model->bits_per_symbol;
}

static sf_status_t check_model(const sf_model_t *model) {
    if (model == NULL || model->graph == NULL || model->tail == NULL ||
        model->runtime_api != SF_RUNTIME_API) {
        return SF_ERR_ARGUMENT;
    }
    const sf_graph_t *graph = model->graph;
    const sf_tail_t *tail = model->tail;
    if (graph->rows == 0u || graph->row_bytes == 0u || graph->reset == NULL || graph->push_row == NULL ||
        graph->latent_channels == 0u || graph->latent_channels > CHANNELS_MAX ||
        tail->channels != graph->latent_channels || model->bits_per_symbol < 1u ||
        model->bits_per_symbol > 8u || tail->levels < 2u ||
        (uint32_t)tail->levels > (1uL << model->bits_per_symbol)) {
        return SF_ERR_ARGUMENT;
    }
    return (payload_bits(model) + 7u) / 8u == model->payload_bytes ? SF_OK : SF_ERR_ARGUMENT;
}

sf_status_t sf_encoder_init(sf_encoder_t *encoder, const sf_model_t *model, void *state, size_t state_bytes,
                            uint8_t *payload, size_t payload_bytes) {
    const sf_status_t status = check_model(model);
    if (status != SF_OK || encoder == NULL || payload == NULL) {
        return SF_ERR_ARGUMENT;
    }
    if (model->graph->state_bytes > 0u && (state == NULL || ((uintptr_t)state & 7u) != 0u)) {
        return SF_ERR_ARGUMENT;
    }
    if (state_bytes < model->graph->state_bytes || payload_bytes < model->payload_bytes) {
        return SF_ERR_MEMORY;
    }
    memset(encoder, 0, sizeof *encoder);
    encoder->model = model;
    encoder->state = state;
    encoder->payload = payload;
    return SF_OK;
}

sf_status_t sf_encoder_begin(sf_encoder_t *encoder) {
    if (encoder == NULL || encoder->model == NULL) {
        return SF_ERR_ARGUMENT;
    }
    encoder->accumulator = 0;
    encoder->accumulated_bits = 0;
    encoder->payload_ready = 0;
    encoder->payload_taken = 0;
    encoder->next_row = 0;
    encoder->positions_done = 0;
    const sf_status_t status = encoder->model->graph->reset(encoder->state);
    encoder->running = status == SF_OK;
    return status;
}

/* Append the codes of one position, most significant bit first. */
static void pack(sf_encoder_t *encoder, const uint8_t *codes, uint32_t n) {
    const uint32_t bits = encoder->model->bits_per_symbol;
    uint32_t accumulator = encoder->accumulator;
    uint32_t held = encoder->accumulated_bits;
    for (uint32_t i = 0; i < n; i++) {
        accumulator = (accumulator << bits) | codes[i];
        held += bits;
        if (held >= 8u) {
            held -= 8u;
            encoder->payload[encoder->payload_ready] = (uint8_t)(accumulator >> held);
            encoder->payload_ready++;
        }
    }
    encoder->accumulator = accumulator & 0xFFu;
    encoder->accumulated_bits = (uint16_t)held;
}

/* sf_latent_fn: one latent vector from the graph. */
static sf_status_t take_latent(void *context, const int8_t *values) {
    sf_encoder_t *encoder = (sf_encoder_t *)context;
    const sf_model_t *model = encoder->model;
    if (encoder->positions_done >= model->graph->latent_positions) {
        return SF_ERR_KERNEL;
    }
    uint8_t codes[CHANNELS_MAX];
    const sf_status_t status = sf_tail_codes(model->tail, values, codes);
    if (status == SF_OK) {
        pack(encoder, codes, model->graph->latent_channels);
        encoder->positions_done++;
    }
    return status;
}

/* After the last row: all positions must be there; pad the last byte with zero bits. */
static sf_status_t finish(sf_encoder_t *encoder) {
    if (encoder->positions_done != encoder->model->graph->latent_positions) {
        return SF_ERR_KERNEL;
    }
    if (encoder->accumulated_bits > 0u) {
        encoder->payload[encoder->payload_ready] =
            (uint8_t)(encoder->accumulator << (8u - encoder->accumulated_bits));
        encoder->payload_ready++;
        encoder->accumulated_bits = 0;
    }
    return encoder->payload_ready == encoder->model->payload_bytes ? SF_OK : SF_ERR_KERNEL;
}

sf_status_t sf_encoder_push_row(sf_encoder_t *encoder, const int8_t *row, size_t row_bytes) {
    if (encoder == NULL || encoder->model == NULL || row == NULL) {
        return SF_ERR_ARGUMENT;
    }
    const sf_graph_t *graph = encoder->model->graph;
    if (!encoder->running) {
        return encoder->next_row >= graph->rows ? SF_ERR_ROW : SF_ERR_STATE;
    }
    if (row_bytes != graph->row_bytes) {
        return SF_ERR_ROW;
    }
    sf_status_t status = graph->push_row(encoder->state, encoder->next_row, row, take_latent, encoder);
    if (status < SF_OK) {
        encoder->running = 0;
        return status;
    }
    encoder->next_row++;
    if (encoder->next_row < graph->rows) {
        return SF_MORE;
    }
    encoder->running = 0;
    return finish(encoder);
}

sf_status_t sf_encoder_poll(sf_encoder_t *encoder, uint8_t *out, size_t capacity, size_t *count) {
    if (encoder == NULL || encoder->model == NULL || out == NULL || count == NULL) {
        return SF_ERR_ARGUMENT;
    }
    if (!encoder->running && encoder->next_row == 0u) {
        return SF_ERR_STATE;
    }
    size_t n = (size_t)encoder->payload_ready - encoder->payload_taken;
    if (n > capacity) {
        n = capacity;
    }
    memcpy(out, encoder->payload + encoder->payload_taken, n);
    encoder->payload_taken = (uint16_t)(encoder->payload_taken + n);
    *count = n;
    return SF_OK;
}
