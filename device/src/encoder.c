#include "semflash/encoder.h"

#include <string.h>

static uint64_t payload_bits(const sf_model_t *model) {
    return (uint64_t)model->graph->latent_positions * model->graph->latent_channels * model->bits_per_symbol;
}

static sf_status_t check_model(const sf_model_t *model) {
    if (model == NULL || model->graph == NULL || model->tail == NULL ||
        model->runtime_api != SF_RUNTIME_API) {
        return SF_ERR_ARGUMENT;
    }
    const sf_graph_t *graph = model->graph;
    const sf_tail_t *tail = model->tail;
    if (graph->rows == 0u || graph->row_bytes == 0u || graph->reset == NULL || graph->push_row == NULL ||
        graph->latent_channels == 0u || tail->channels != graph->latent_channels ||
        (tail->kind != SF_TAIL_GDN && tail->kind != SF_TAIL_TABLE) || model->bits_per_symbol < 1u ||
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

/* sf_latent_fn: append the codes of one position, most significant bit first. */
static sf_status_t take_latent(void *context, const int8_t *values) {
    sf_encoder_t *encoder = (sf_encoder_t *)context;
    const sf_model_t *model = encoder->model;
    if (encoder->positions_done >= model->graph->latent_positions) {
        return SF_ERR_KERNEL;
    }
    const uint32_t bits = model->bits_per_symbol;
    uint32_t accumulator = encoder->accumulator;
    uint32_t held = encoder->accumulated_bits;
    for (uint16_t c = 0; c < model->graph->latent_channels; c++) {
        accumulator = (accumulator << bits) | sf_tail_code(model->tail, values, c);
        held += bits;
        if (held >= 8u) {
            held -= 8u;
            encoder->payload[encoder->payload_ready] = (uint8_t)(accumulator >> held);
            encoder->payload_ready++;
        }
    }
    encoder->accumulator = accumulator & 0xFFu;
    encoder->accumulated_bits = (uint16_t)held;
    encoder->positions_done++;
    return SF_OK;
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
