#include "semflash/encoder.h"

#include <string.h>

#include "semflash/bench.h"
#include "semflash/controls.h"

#define CODES_AT_ONCE 16u

static const sf_stage_t *stage_of(const sf_encoder_t *encoder, uint32_t number) {
    return &encoder->program->stages[number];
}

sf_status_t sf_encoder_init(sf_encoder_t *encoder, const sf_program_t *program, void *state,
                            size_t state_bytes, uint8_t *payload, size_t payload_bytes) {
    if (sf_program_check(program) != SF_OK || encoder == NULL || payload == NULL) {
        return SF_ERR_ARGUMENT;
    }
    if (program->state_bytes > 0u && (state == NULL || ((uintptr_t)state & 7u) != 0u)) {
        return SF_ERR_ARGUMENT;
    }
    if (state_bytes < program->state_bytes || payload_bytes < program->payload_bytes) {
        return SF_ERR_MEMORY;
    }
    memset(encoder, 0, sizeof *encoder);
    encoder->program = program;
    encoder->state = (uint8_t *)state;
    encoder->payload = payload;
    sf_controls_reset(encoder);
    return SF_OK;
}

static sf_status_t begin_payload(sf_encoder_t *encoder) {
    const sf_program_t *program = encoder->program;
    const sf_region_t *first = &program->regions[0];
    const sf_status_t status = sf_bits_begin(&encoder->bits, encoder->payload, program->payload_bytes);
    if (status != SF_OK || !sf_program_streams(program)) {
        return status;
    }
    return sf_bits_region(&encoder->bits, (uint32_t)first->rows * first->each, first->bits,
                          (sf_protection_t)first->protection);
}

sf_status_t sf_encoder_begin(sf_encoder_t *encoder) {
    if (encoder == NULL || encoder->program == NULL) {
        return SF_ERR_ARGUMENT;
    }
    const sf_program_t *program = encoder->program;
    encoder->payload_taken = 0;
    encoder->next_row = 0;
    memset(encoder->positions, 0, sizeof encoder->positions);
    sf_controls_use(encoder);
    sf_status_t status = begin_payload(encoder);
    for (uint32_t i = 0; i < program->n_stages && status == SF_OK; i++) {
        const sf_stage_t *stage = stage_of(encoder, i);
        if (stage->kind == SF_STAGE_GRAPH) {
            status = stage->as.graph->reset(encoder->state + stage->state);
        }
    }
    encoder->running = status == SF_OK;
    return status;
}

static void codes_of(const sf_encoder_t *encoder, const sf_stage_t *tail, const int8_t *values,
                     uint16_t first, uint16_t n, uint8_t *codes) {
    const uint32_t set = tail->by == SF_NONE ? 0u : sf_encoder_controls(encoder)[tail->by];
    if (tail->kind == SF_STAGE_TABLE) {
        sf_table_codes(&tail->as.table[set], values, first, n, codes);
    } else {
        sf_gdn_codes(&tail->as.gdn[set], values, first, n, codes);
    }
}

sf_status_t sf_encoder_tail(sf_encoder_t *encoder, const sf_stage_t *tail, const int8_t *values,
                            uint16_t channels, uint32_t position) {
    if (encoder->program->tensors[tail->output].offset != SF_NOT_KEPT) {
        codes_of(encoder, tail, values, 0, channels,
                 sf_encoder_kept(encoder, tail->output) + position * channels);
        return SF_OK;
    }
    sf_status_t status = SF_OK;
    for (uint16_t first = 0; first < channels && status == SF_OK; first = (uint16_t)(first + CODES_AT_ONCE)) {
        const uint16_t left = (uint16_t)(channels - first);
        const uint16_t n = left < CODES_AT_ONCE ? left : (uint16_t)CODES_AT_ONCE;
        uint8_t codes[CODES_AT_ONCE];
        codes_of(encoder, tail, values, first, n, codes);
        status = sf_bits_put(&encoder->bits, codes, n);
    }
    return status;
}

/* sf_latent_fn of the graph `encoder->graph`: keep the values, and run the stages that read them one by one. */
static sf_status_t take_position(void *context, const int8_t *values) {
    sf_encoder_t *encoder = (sf_encoder_t *)context;
    const sf_stage_t *stage = stage_of(encoder, encoder->graph);
    const sf_graph_t *graph = stage->as.graph;
    const uint32_t position = encoder->positions[stage->by];
    if (position >= graph->latent_positions) {
        return SF_ERR_KERNEL;
    }
    encoder->positions[stage->by]++;
    if (encoder->program->tensors[stage->output].offset != SF_NOT_KEPT) {
        memcpy(sf_encoder_kept(encoder, stage->output) + position * graph->latent_channels, values,
               graph->latent_channels);
    }
    sf_status_t status = SF_OK;
    const sf_stage_t *end = stage_of(encoder, encoder->program->n_stages);
    for (const sf_stage_t *next = stage + 1; next < end && status == SF_OK; next++) {
        if (next->source != stage->output) {
            continue;
        }
        if (next->ops != NULL && next->ops->position != NULL) {
            next->ops->position(encoder, next, values, position);
        } else if (next->ops == NULL && (next->kind == SF_STAGE_GDN || next->kind == SF_STAGE_TABLE)) {
            status = sf_encoder_tail(encoder, next, values, graph->latent_channels, position);
        }
    }
    return status;
}

static sf_status_t push_to(sf_encoder_t *encoder, uint32_t number, uint16_t row, const int8_t *values) {
    const sf_stage_t *stage = stage_of(encoder, number);
    encoder->graph = (uint8_t)number;
    SF_BENCH_GRAPH(stage->layer);
    const sf_status_t status =
        stage->as.graph->push_row(encoder->state + stage->state, row, values, take_position, encoder);
    return status < SF_OK ? status : SF_OK;
}

/* A stage that needs whole tensors. */
static sf_status_t run_stage(sf_encoder_t *encoder, uint32_t number) {
    const sf_stage_t *stage = stage_of(encoder, number);
    sf_status_t status = SF_OK;
    if (stage->ops != NULL && stage->ops->whole != NULL) {
        status = stage->ops->whole(encoder, stage);
    } else if (stage->kind == SF_STAGE_ORDER) {
        sf_order_codes(
            stage->as.order, sf_encoder_kept(encoder, stage->by), sf_encoder_kept(encoder, stage->source),
            (uint16_t *)(void *)(encoder->state + stage->state), sf_encoder_kept(encoder, stage->output));
    } else if (stage->kind == SF_STAGE_GRAPH) {
        const sf_graph_t *graph = stage->as.graph;
        for (uint16_t row = 0; stage->source != 0u && row < graph->rows && status == SF_OK; row++) {
            const uint8_t *values = sf_encoder_kept(encoder, stage->source) + (size_t)row * graph->row_bytes;
            status = push_to(encoder, number, row, (const int8_t *)values);
        }
        if (status == SF_OK && encoder->positions[stage->by] != graph->latent_positions) {
            status = SF_ERR_KERNEL;
        }
    }
    return status;
}

/* After the last row: what needs whole tensors, and the regions that were not written yet. */
static sf_status_t finish(sf_encoder_t *encoder) {
    const sf_program_t *program = encoder->program;
    sf_status_t status = SF_OK;
    for (uint32_t i = 0; i < program->n_stages && status == SF_OK; i++) {
        status = run_stage(encoder, i);
    }
    if (program->head != NULL && status == SF_OK) {
        status = program->head->ops->write(encoder, program->head);
    }
    for (uint32_t i = sf_program_streams(program) ? 1u : 0u; i < program->n_regions && status == SF_OK; i++) {
        const sf_region_t *region = &program->regions[i];
        const uint8_t *told =
            sf_items_are_told(region->items) ? sf_encoder_kept(encoder, region->told_by) : NULL;
        const uint16_t limit =
            region->items == SF_ITEMS_REST ? sf_encoder_controls(encoder)[region->told_by] : 0u;
        status =
            sf_region_write(&encoder->bits, region, sf_encoder_kept(encoder, region->source), told, limit);
    }
    return status == SF_OK ? sf_bits_end(&encoder->bits, &encoder->payload_bits) : status;
}

sf_status_t sf_encoder_push_row(sf_encoder_t *encoder, const int8_t *row, size_t row_bytes) {
    if (encoder == NULL || encoder->program == NULL || row == NULL) {
        return SF_ERR_ARGUMENT;
    }
    const sf_program_t *program = encoder->program;
    if (!encoder->running) {
        return encoder->next_row >= program->rows ? SF_ERR_ROW : SF_ERR_STATE;
    }
    if (row_bytes != program->row_bytes) {
        return SF_ERR_ROW;
    }
    if (program->tensors[0].offset != SF_NOT_KEPT) {
        memcpy(sf_encoder_kept(encoder, 0) + (size_t)encoder->next_row * row_bytes, row, row_bytes);
    }
    sf_status_t status = SF_OK;
    for (uint32_t i = 0; i < program->n_stages && status == SF_OK; i++) {
        if (stage_of(encoder, i)->kind == SF_STAGE_GRAPH && stage_of(encoder, i)->source == 0u) {
            status = push_to(encoder, i, encoder->next_row, row);
        }
    }
    if (status != SF_OK) {
        encoder->running = 0;
        return status;
    }
    encoder->next_row++;
    if (encoder->next_row < program->rows) {
        return SF_MORE;
    }
    encoder->running = 0;
    return finish(encoder);
}

sf_status_t sf_encoder_poll(sf_encoder_t *encoder, uint8_t *out, size_t capacity, size_t *count) {
    if (encoder == NULL || encoder->program == NULL || out == NULL || count == NULL) {
        return SF_ERR_ARGUMENT;
    }
    if (!encoder->running && encoder->next_row == 0u) {
        return SF_ERR_STATE;
    }
    size_t n = (size_t)encoder->bits.ready - encoder->payload_taken;
    if (n > capacity) {
        n = capacity;
    }
    memcpy(out, encoder->payload + encoder->payload_taken, n);
    encoder->payload_taken += (uint32_t)n;
    *count = n;
    return SF_OK;
}
