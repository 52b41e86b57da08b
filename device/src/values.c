/* Stages that give int8 values, and tails behind them: what a program without them does not need. */
#include "semflash/controls.h"
#include "semflash/encoder.h"

/* Which of a stage's sets of integers is used for this image. */
static uint32_t set_of(const sf_encoder_t *encoder, const sf_stage_t *stage) {
    return stage->by == SF_NONE ? 0u : sf_encoder_controls(encoder)[stage->by];
}

/* Sets of integers that a stage has: one for each value of its control; 0: there is no such control. */
static uint32_t sets_of(const sf_program_t *program, const sf_stage_t *stage) {
    if (stage->by == SF_NONE) {
        return 1;
    }
    return stage->by < program->n_controls ? program->controls[stage->by].high + 1u : 0u;
}

/* Positions of so many channels in kept values that a stage before number `number` writes; 0: there are none. */
static uint32_t kept_positions(const sf_program_t *program, uint32_t number, uint32_t channels) {
    const uint32_t source = program->stages[number].source;
    for (uint32_t i = 0; i < number && channels > 0u; i++) {
        const sf_stage_t *before = &program->stages[i];
        const int values = before->kind == SF_STAGE_PROJECT || before->kind == SF_STAGE_NORMALISE;
        if (values && before->output == source && sf_program_keeps(program, source, channels)) {
            const uint32_t bytes = program->tensors[source].bytes;
            return bytes % channels == 0u ? bytes / channels : 0u;
        }
    }
    return 0;
}

/* Positions of so many channels that a graph before number `number` gives; 0: there are none. */
static uint32_t graph_positions(const sf_program_t *program, uint32_t number, uint32_t channels) {
    for (uint32_t i = 0; i < number; i++) {
        const sf_stage_t *before = &program->stages[i];
        if (before->kind == SF_STAGE_GRAPH && before->output == program->stages[number].source) {
            return before->as.graph->latent_channels == channels ? before->as.graph->latent_positions : 0u;
        }
    }
    return 0;
}

static int project_complete(const sf_project_t *project, const sf_project_t *first) {
    return project->channels == first->channels && project->outputs == first->outputs &&
           project->weights != NULL && project->bias != NULL && project->multiplier != NULL &&
           project->shift != NULL;
}

static int project_fits(const sf_program_t *program, uint32_t number, int behind_graph) {
    const sf_stage_t *stage = &program->stages[number];
    const sf_project_t *first = stage->as.project;
    if (stage->kind != SF_STAGE_PROJECT || first == NULL || first->outputs == 0u) {
        return 0;
    }
    const uint32_t sets = sets_of(program, stage);
    for (uint32_t i = 0; i < sets; i++) {
        if (!project_complete(&first[i], first)) {
            return 0;
        }
    }
    const uint32_t positions = behind_graph ? graph_positions(program, number, first->channels)
                                            : kept_positions(program, number, first->channels);
    return sets > 0u && positions > 0u &&
           sf_program_keeps(program, stage->output, positions * first->outputs);
}

static int project_of_graph_fits(const sf_program_t *program, uint32_t number) {
    return project_fits(program, number, 1);
}

static int project_of_values_fits(const sf_program_t *program, uint32_t number) {
    return project_fits(program, number, 0);
}

static void project_position(sf_encoder_t *encoder, const sf_stage_t *stage, const int8_t *values,
                             uint32_t position) {
    const sf_project_t *project = &stage->as.project[set_of(encoder, stage)];
    int8_t *out = (int8_t *)sf_encoder_kept(encoder, stage->output);
    sf_project_position(project, values, out + position * project->outputs);
}

static sf_status_t project_whole(sf_encoder_t *encoder, const sf_stage_t *stage) {
    const uint32_t channels = stage->as.project->channels;
    const uint32_t positions = encoder->program->tensors[stage->source].bytes / channels;
    const int8_t *values = (const int8_t *)sf_encoder_kept(encoder, stage->source);
    for (uint32_t position = 0; position < positions; position++) {
        project_position(encoder, stage, values + position * channels, position);
    }
    return SF_OK;
}

static int normalise_fits(const sf_program_t *program, uint32_t number) {
    const sf_stage_t *stage = &program->stages[number];
    const sf_normalise_t *normalise = stage->as.normalise;
    return stage->kind == SF_STAGE_NORMALISE && normalise != NULL && normalise->n > 0u &&
           sf_program_keeps(program, stage->source, normalise->n) &&
           sf_program_keeps(program, stage->output, normalise->n);
}

static sf_status_t normalise_whole(sf_encoder_t *encoder, const sf_stage_t *stage) {
    sf_normalise_values(stage->as.normalise, (const int8_t *)sf_encoder_kept(encoder, stage->source),
                        (int8_t *)sf_encoder_kept(encoder, stage->output));
    return SF_OK;
}

/* Channels of one set of a tail; 0: it is no tail. */
static uint16_t tail_channels(const sf_stage_t *stage, uint32_t set) {
    if (stage->kind == SF_STAGE_GDN) {
        return stage->as.gdn == NULL ? (uint16_t)0 : stage->as.gdn[set].channels;
    }
    const int table = stage->kind == SF_STAGE_TABLE && stage->as.table != NULL;
    return table ? stage->as.table[set].channels : (uint16_t)0;
}

static int tail_fits(const sf_program_t *program, uint32_t number) {
    const sf_stage_t *stage = &program->stages[number];
    const uint32_t sets = sets_of(program, stage);
    const uint32_t channels = tail_channels(stage, 0);
    const uint32_t positions = kept_positions(program, number, channels);
    for (uint32_t i = 0; i < sets && positions > 0u; i++) {
        const uint32_t levels =
            stage->kind == SF_STAGE_GDN ? stage->as.gdn[i].levels : stage->as.table[i].levels;
        if (tail_channels(stage, i) != channels || !sf_program_levels_fit(program, stage->output, levels)) {
            return 0;
        }
    }
    return sets > 0u && positions > 0u && sf_program_keeps(program, stage->output, positions * channels);
}

static sf_status_t tail_whole(sf_encoder_t *encoder, const sf_stage_t *stage) {
    const uint16_t channels = tail_channels(stage, 0);
    const uint32_t positions = encoder->program->tensors[stage->source].bytes / channels;
    const int8_t *values = (const int8_t *)sf_encoder_kept(encoder, stage->source);
    sf_status_t status = SF_OK;
    for (uint32_t position = 0; position < positions && status == SF_OK; position++) {
        status = sf_encoder_tail(encoder, stage, values + position * channels, channels, position);
    }
    return status;
}

const sf_stage_ops_t sf_project_of_graph = {project_of_graph_fits, project_position, NULL};
const sf_stage_ops_t sf_project_of_values = {project_of_values_fits, NULL, project_whole};
const sf_stage_ops_t sf_normalise_of_values = {normalise_fits, NULL, normalise_whole};
const sf_stage_ops_t sf_tail_of_values = {tail_fits, NULL, tail_whole};
