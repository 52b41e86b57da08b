/* The stage of tokens in a program: what a program without it does not need. */
#include "semflash/controls.h"
#include "semflash/encoder.h"

static int product_fits(const sf_product_t *map, uint32_t inputs, uint32_t outputs) {
    return map->inputs == inputs && map->outputs == outputs && outputs % 2u == 0u && map->shift >= 33u &&
           map->shift <= 62u && map->weights != NULL && map->bias != NULL && map->multiplier != NULL;
}

static int block_fits(const sf_tokens_t *tokens, const sf_token_block_t *block) {
    const uint32_t width = tokens->width;
    const uint32_t hidden = block->wide.outputs;
    return block->gate.gate != NULL && block->gate.threshold != NULL && block->score_shift >= 33u &&
           block->score_shift <= 62u && block->score_multiplier >= 0 && hidden > 0u && hidden % 4u == 0u &&
           hidden <= tokens->hidden && product_fits(&block->qkv, width, 3u * width) &&
           product_fits(&block->out, width, width) && product_fits(&block->wide, width, hidden) &&
           product_fits(&block->narrow, hidden, width);
}

static int sizes_fit(const sf_tokens_t *tokens) {
    const uint32_t each = tokens->heads > 0u ? tokens->width / tokens->heads : 0u;
    return tokens->tokens > 0u && tokens->tokens <= SF_TOKENS_MAX && tokens->width > 0u &&
           tokens->width <= SF_TOKEN_WIDTH_MAX && each > 0u && each * tokens->heads == tokens->width &&
           each % 4u == 0u && each <= SF_TOKEN_EACH_MAX && tokens->hidden <= SF_TOKEN_HIDDEN_MAX &&
           tokens->slack <= SF_TOKENS_MAX && tokens->choices > 0u && tokens->n_blocks > 0u &&
           tokens->shift >= 1u && tokens->shift <= 20u && tokens->multiplier > 0 &&
           tokens->multiplier < (int32_t)1 << 22;
}

static int arrays_fit(const sf_tokens_t *tokens) {
    const sf_product_t *encoder = &tokens->encoder;
    return tokens->outputs != NULL && tokens->values != NULL && tokens->places != NULL &&
           tokens->every != NULL && tokens->none != NULL && tokens->exponentials != NULL &&
           tokens->blocks != NULL && encoder->inputs == tokens->width &&
           encoder->outputs <= SF_TOKEN_WIDTH_MAX && encoder->weights != NULL && encoder->bias != NULL;
}

/* The exponentials begin with their largest and fall, so that no sum of weights is 0 or leaves 16 bits. */
static int table_fits(const uint16_t *exponentials) {
    for (uint32_t i = 1; i < 256u; i++) {
        if (exponentials[i] > exponentials[i - 1u]) {
            return 0;
        }
    }
    return exponentials[0] == 4095u;
}

/* Whether the symbols of each choice have a kept tensor, and no more values than the encoder gives. */
static int choices_fit(const sf_program_t *program, const sf_tokens_t *tokens) {
    for (uint32_t i = 0; i < tokens->choices; i++) {
        const uint32_t values = tokens->values[i];
        if (values == 0u || values % 2u != 0u || values > tokens->encoder.outputs ||
            !sf_program_keeps(program, tokens->outputs[i], tokens->tokens * values)) {
            return 0;
        }
    }
    return 1;
}

static int controls_fit(const sf_program_t *program, const sf_stage_t *stage) {
    const sf_tokens_t *tokens = stage->as.tokens;
    if (stage->by >= program->n_controls || tokens->choice >= program->n_controls) {
        return 0;
    }
    const sf_control_t *share = &program->controls[stage->by];
    return share->low >= 1u && share->high <= SF_TOKEN_SHARE_MAX &&
           program->controls[tokens->choice].high < tokens->choices;
}

static int tokens_fit(const sf_program_t *program, uint32_t number) {
    const sf_stage_t *stage = &program->stages[number];
    const sf_tokens_t *tokens = stage->as.tokens;
    if (stage->kind != SF_STAGE_TOKENS || tokens == NULL || !sizes_fit(tokens) || !arrays_fit(tokens) ||
        !table_fits(tokens->exponentials) || !choices_fit(program, tokens) || !controls_fit(program, stage)) {
        return 0;
    }
    for (uint32_t i = 0; i < tokens->n_blocks; i++) {
        if (!block_fits(tokens, &tokens->blocks[i])) {
            return 0;
        }
    }
    const sf_head_t *head = program->head;
    const int told = head != NULL && head->map == stage->output && head->places == tokens->tokens &&
                     head->levels == tokens->choices + 1u;
    return told && (stage->state & 3u) == 0u && stage->state <= program->state_bytes &&
           sf_tokens_memory(tokens) <= program->state_bytes - stage->state &&
           sf_program_keeps(program, stage->source, (uint32_t)tokens->tokens * tokens->width) &&
           sf_program_keeps(program, stage->output, tokens->tokens);
}

static sf_status_t tokens_whole(sf_encoder_t *encoder, const sf_stage_t *stage) {
    const sf_tokens_t *tokens = stage->as.tokens;
    const uint16_t *values = sf_encoder_controls(encoder);
    const uint32_t choice = values[tokens->choice];
    sf_tokens_send(tokens, (const int8_t *)sf_encoder_kept(encoder, stage->source), values[stage->by], choice,
                   encoder->state + stage->state, sf_encoder_kept(encoder, stage->output),
                   (int8_t *)sf_encoder_kept(encoder, tokens->outputs[choice]));
    return SF_OK;
}

const sf_stage_ops_t sf_tokens_of_values = {tokens_fit, NULL, tokens_whole};
