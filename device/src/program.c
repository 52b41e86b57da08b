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

static int kept(const sf_program_t *program, uint32_t number, uint32_t bytes) {
    return holds(program, number, bytes) && program->tensors[number].offset != SF_NOT_KEPT;
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
    return (rows_come || kept(program, stage->source, input)) && holds(program, stage->output, output);
}

const sf_graph_t *sf_program_source_graph(const sf_program_t *program, uint32_t number) {
    for (uint32_t i = 0; i < number; i++) {
        if (program->stages[i].kind == SF_STAGE_GRAPH &&
            program->stages[i].output == program->stages[number].source) {
            return program->stages[i].as.graph;
        }
    }
    return NULL;
}

/* Positions of so many channels that a tail or projection reads: of a graph, or of kept values that a stage before
 * it writes; 0: it reads something else. */
static uint32_t positions_of(const sf_program_t *program, uint32_t number, uint32_t channels) {
    const sf_graph_t *graph = sf_program_source_graph(program, number);
    const uint32_t source = program->stages[number].source;
    if (graph != NULL) {
        return graph->latent_channels == channels ? graph->latent_positions : 0u;
    }
    for (uint32_t i = 0; i < number && channels > 0u; i++) {
        const uint32_t kind = program->stages[i].kind;
        if ((kind == SF_STAGE_PROJECT || kind == SF_STAGE_NORMALISE) && program->stages[i].output == source &&
            kept(program, source, channels) && program->tensors[source].bytes % channels == 0u) {
            return program->tensors[source].bytes / channels;
        }
    }
    return 0;
}

/* Sets of integers that a stage has: one for each value of its control; 0: there is no such control. */
static uint32_t sets_of(const sf_program_t *program, const sf_stage_t *stage) {
    if (stage->by == SF_NONE) {
        return 1;
    }
    return stage->by < program->n_controls ? program->controls[stage->by].high + 1u : 0u;
}

/* Codes below `levels` fit the bits in which a tensor is sent. */
static int levels_fit(const sf_program_t *program, uint32_t tensor, uint32_t levels) {
    for (uint32_t i = 0; i < program->n_regions; i++) {
        if (program->regions[i].source == tensor && levels > 1uL << (program->regions[i].bits & 15u)) {
            return 0;
        }
    }
    return levels >= 2u;
}

/* Channels of one set of a tail; 0: there is none. */
static uint32_t tail_channels(const sf_stage_t *stage, uint32_t set) {
    if (stage->kind == SF_STAGE_GDN) {
        return stage->as.gdn == NULL ? 0u : stage->as.gdn[set].channels;
    }
    return stage->as.table == NULL ? 0u : stage->as.table[set].channels;
}

static int tail_fits(const sf_program_t *program, uint32_t number) {
    const sf_stage_t *stage = &program->stages[number];
    const uint32_t sets = sets_of(program, stage);
    const uint32_t channels = tail_channels(stage, 0);
    const uint32_t positions = positions_of(program, number, channels);
    for (uint32_t i = 0; i < sets && positions > 0u; i++) {
        const uint32_t levels =
            stage->kind == SF_STAGE_GDN ? stage->as.gdn[i].levels : stage->as.table[i].levels;
        if (tail_channels(stage, i) != channels || !levels_fit(program, stage->output, levels)) {
            return 0;
        }
    }
    return sets > 0u && positions > 0u && holds(program, stage->output, positions * channels);
}

static int project_fits(const sf_program_t *program, uint32_t number) {
    const sf_stage_t *stage = &program->stages[number];
    const sf_project_t *first = stage->as.project;
    const uint32_t sets = first == NULL ? 0u : sets_of(program, stage);
    for (uint32_t i = 0; i < sets; i++) {
        const sf_project_t *project = &first[i];
        if (project->channels != first->channels || project->outputs != first->outputs ||
            project->run == NULL || project->weights == NULL || project->bias == NULL ||
            project->multiplier == NULL || project->shift == NULL) {
            return 0;
        }
    }
    const uint32_t positions = sets > 0u ? positions_of(program, number, first->channels) : 0u;
    return positions > 0u && first->outputs > 0u && kept(program, stage->output, positions * first->outputs);
}

static int normalise_fits(const sf_program_t *program, const sf_stage_t *stage) {
    const sf_normalise_t *normalise = stage->as.normalise;
    return normalise != NULL && normalise->run != NULL && normalise->n > 0u &&
           kept(program, stage->source, normalise->n) && kept(program, stage->output, normalise->n);
}

static int order_fits(const sf_program_t *program, const sf_stage_t *stage) {
    const sf_order_t *order = stage->as.order;
    if (order == NULL || order->channels == 0u || order->levels < 2u || (stage->state & 1u) != 0u ||
        stage->state > program->state_bytes ||
        sf_order_scores(order) * 2u > program->state_bytes - stage->state) {
        return 0;
    }
    const uint32_t codes = (uint32_t)order->positions * order->channels;
    return codes <= UINT16_MAX && kept(program, stage->source, codes) &&
           kept(program, stage->output, codes) && kept(program, stage->by, order->positions);
}

static int stage_fits(const sf_program_t *program, uint32_t number) {
    const sf_stage_t *stage = &program->stages[number];
    switch (stage->kind) {
    case SF_STAGE_GRAPH:
        return graph_fits(program, stage);
    case SF_STAGE_GDN:
    case SF_STAGE_TABLE:
        return tail_fits(program, number);
    case SF_STAGE_ORDER:
        return order_fits(program, stage);
    case SF_STAGE_PROJECT:
        return project_fits(program, number);
    case SF_STAGE_NORMALISE:
        return normalise_fits(program, stage);
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
    if (number == 0u && region->items == SF_ITEMS_EVERY && holds(program, region->source, items)) {
        return 1;
    }
    if (!kept(program, region->source, items)) {
        return 0;
    }
    switch (region->items) {
    case SF_ITEMS_EVERY:
        return 1;
    case SF_ITEMS_COUNT:
        return kept(program, region->told_by, 1);
    case SF_ITEMS_ONES:
        return kept(program, region->told_by, region->rows);
    case SF_ITEMS_REST:
        return region->told_by < program->n_controls && region->protection == SF_PLAIN;
    default:
        return 0;
    }
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
    return (bits + 7u) / 8u == program->payload_bytes ? SF_OK : SF_ERR_ARGUMENT;
}
