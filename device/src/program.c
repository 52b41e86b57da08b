#include "semflash/program.h"

/* A kept tensor must lie in the state, with at least `bytes`. */
static int holds(const sf_program_t *program, uint32_t number, uint32_t bytes) {
    if (number >= program->n_tensors) {
        return 0;
    }
    const sf_tensor_t *tensor = &program->tensors[number];
    return tensor->bytes >= bytes &&
           (tensor->offset == SF_NOT_KEPT || (tensor->offset <= program->state_bytes &&
                                              tensor->bytes <= program->state_bytes - tensor->offset));
}

int sf_program_keeps(const sf_program_t *program, uint32_t tensor, uint32_t bytes) {
    return holds(program, tensor, bytes) && program->tensors[tensor].offset != SF_NOT_KEPT;
}

static int graph_fits(const sf_program_t *program, const sf_stage_t *stage) {
    const sf_graph_t *graph = stage->as.graph;
    if (graph == NULL || graph->rows == 0u || graph->row_bytes == 0u || graph->reset == NULL ||
        graph->push_row == NULL || graph->latent_channels == 0u || stage->by >= SF_GRAPHS_MAX ||
        (stage->state & 7u) != 0u || stage->state > program->state_bytes ||
        graph->state_bytes > program->state_bytes - stage->state) {
        return 0;
    }
    const uint32_t input = (uint32_t)graph->rows * graph->row_bytes;
    const uint32_t output = (uint32_t)graph->latent_positions * graph->latent_channels;
    const int rows_come =
        stage->source == 0u && graph->rows == program->rows && graph->row_bytes == program->row_bytes;
    return (rows_come || sf_program_keeps(program, stage->source, input)) &&
           holds(program, stage->output, output);
}

/* The graph whose output a tail reads, before it; NULL: there is none. */
static const sf_graph_t *graph_of(const sf_program_t *program, uint32_t number) {
    for (uint32_t i = 0; i < number; i++) {
        if (program->stages[i].kind == SF_STAGE_GRAPH &&
            program->stages[i].output == program->stages[number].source) {
            return program->stages[i].as.graph;
        }
    }
    return NULL;
}

int sf_program_levels_fit(const sf_program_t *program, uint32_t tensor, uint32_t levels) {
    for (uint32_t i = 0; i < program->n_regions; i++) {
        if (program->regions[i].source == tensor && levels > 1uL << (program->regions[i].bits & 15u)) {
            return 0;
        }
    }
    return levels >= 2u;
}

static int tail_fits(const sf_program_t *program, uint32_t number) {
    const sf_stage_t *stage = &program->stages[number];
    const sf_graph_t *graph = graph_of(program, number);
    if (graph == NULL || (stage->by != SF_NONE && stage->by >= program->n_controls)) {
        return 0;
    }
    const uint32_t tails = stage->by == SF_NONE ? 1u : program->controls[stage->by].high + 1u;
    for (uint32_t i = 0; i < tails; i++) {
        const int gdn = stage->kind == SF_STAGE_GDN;
        if (gdn ? stage->as.gdn == NULL : stage->as.table == NULL) {
            return 0;
        }
        const uint32_t channels = gdn ? stage->as.gdn[i].channels : stage->as.table[i].channels;
        const uint32_t levels = gdn ? stage->as.gdn[i].levels : stage->as.table[i].levels;
        if (channels != graph->latent_channels || !sf_program_levels_fit(program, stage->output, levels)) {
            return 0;
        }
    }
    return holds(program, stage->output, (uint32_t)graph->latent_positions * graph->latent_channels);
}

static int order_fits(const sf_program_t *program, const sf_stage_t *stage) {
    const sf_order_t *order = stage->as.order;
    if (order == NULL || order->channels == 0u || order->levels < 2u || (stage->state & 1u) != 0u ||
        stage->state > program->state_bytes ||
        sf_order_scores(order) * 2u > program->state_bytes - stage->state) {
        return 0;
    }
    const uint32_t codes = (uint32_t)order->positions * order->channels;
    return codes <= UINT16_MAX && sf_program_keeps(program, stage->source, codes) &&
           sf_program_keeps(program, stage->output, codes) &&
           sf_program_keeps(program, stage->by, order->positions);
}

static int stage_fits(const sf_program_t *program, uint32_t number) {
    const sf_stage_t *stage = &program->stages[number];
    if (stage->ops != NULL) {
        return stage->ops->fits(program, number);
    }
    switch (stage->kind) {
    case SF_STAGE_GRAPH:
        return graph_fits(program, stage);
    case SF_STAGE_GDN:
    case SF_STAGE_TABLE:
        return tail_fits(program, number);
    case SF_STAGE_ORDER:
        return order_fits(program, stage);
    default:
        return 0;
    }
}

static int region_fits(const sf_program_t *program, uint32_t number) {
    const sf_region_t *region = &program->regions[number];
    const uint32_t items = (uint32_t)region->rows * region->each;
    if (items == 0u || region->bits < 1u || region->bits > 8u || region->protection > SF_HAMMING_7_4) {
        return 0;
    }
    if (number == 0u && region->items == SF_ITEMS_EVERY && program->head == NULL &&
        holds(program, region->source, items)) {
        return 1;
    }
    if (!sf_program_keeps(program, region->source, items)) {
        return 0;
    }
    switch (region->items) {
    case SF_ITEMS_EVERY:
        return 1;
    case SF_ITEMS_COUNT:
        return sf_program_keeps(program, region->told_by, 1);
    case SF_ITEMS_ONES:
    case SF_ITEMS_EXACTLY:
        return sf_program_keeps(program, region->told_by, region->rows);
    case SF_ITEMS_REST:
        return region->told_by < program->n_controls && region->protection == SF_PLAIN;
    default:
        return 0;
    }
}

/* The image, where it is kept. */
static int image_fits(const sf_program_t *program) {
    return program->n_tensors > 0u && (program->tensors[0].offset == SF_NOT_KEPT ||
                                       holds(program, 0, (uint32_t)program->rows * program->row_bytes));
}

static int controls_fit(const sf_program_t *program) {
    return program->controls != NULL && (program->control_offset & 3u) == 0u &&
           program->control_offset <= program->state_bytes &&
           SF_CONTROLS_BYTES((uint32_t)program->n_controls) <= program->state_bytes - program->control_offset;
}

sf_status_t sf_program_check(const sf_program_t *program) {
    if (program == NULL || program->runtime_api != SF_RUNTIME_API || program->tensors == NULL ||
        program->stages == NULL || program->regions == NULL || program->rows == 0u ||
        program->row_bytes == 0u || program->n_regions == 0u ||
        (program->n_controls > 0u && !controls_fit(program))) {
        return SF_ERR_ARGUMENT;
    }
    if (!image_fits(program) ||
        (program->head != NULL && (program->head->ops == NULL || !program->head->ops->fits(program)))) {
        return SF_ERR_ARGUMENT;
    }
    for (uint32_t i = 0; i < program->n_stages; i++) {
        if (!stage_fits(program, i)) {
            return SF_ERR_ARGUMENT;
        }
    }
    uint64_t bits = 0;
    for (uint32_t i = 0; i < program->n_regions; i++) {
        const sf_region_t *region = &program->regions[i];
        if (!region_fits(program, i)) {
            return SF_ERR_ARGUMENT;
        }
        bits += sf_region_bits((uint32_t)region->rows * region->each, region->bits,
                               (sf_protection_t)region->protection);
    }
    /* Behind a head, not all rows of all regions are sent together; the bit writer holds to the payload's bytes. */
    return program->head != NULL || (bits + 7u) / 8u == program->payload_bytes ? SF_OK : SF_ERR_ARGUMENT;
}
