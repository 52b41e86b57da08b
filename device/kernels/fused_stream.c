/* The row scheduler of the streaming engine: which stage gets which row when. */
#include "semflash/fused.h"

#include "semflash/fused_math.h"

static sf_fused_count_t *counts(uint8_t *state) {
    return (sf_fused_count_t *)(void *)state;
}

static uint8_t *slot_row(const sf_fused_stage_t *stage, uint8_t *state, uint32_t slot) {
    return state + stage->ring + slot * stage->pitch + stage->left;
}

static uint32_t next_slot(const sf_fused_stage_t *stage, const sf_fused_count_t *count) {
    const uint32_t slot = count->slot + 1u;
    return slot == stage->slots ? 0u : slot;
}

/* int8 -> code + 128, or back */
static void flip_signs(uint8_t *out, const uint8_t *in, uint32_t n) {
    if ((((uintptr_t)out | (uintptr_t)in) & 3u) == 0u) { /* pairs of words in one instruction */
        for (; n >= 32u; n -= 32u, in += 32, out += 32) {
            uint32_t words[8];
            memcpy(words, __builtin_assume_aligned(in, 4), sizeof words);
            for (uint32_t i = 0; i < 8u; i++) {
                words[i] ^= 0x80808080u;
            }
            memcpy(__builtin_assume_aligned(out, 4), words, sizeof words);
        }
    }
    for (; n >= 16u; n -= 16u, in += 16, out += 16) {
        const uint32_t a = sf_word(in) ^ 0x80808080u;
        const uint32_t b = sf_word(in + 4) ^ 0x80808080u;
        const uint32_t c = sf_word(in + 8) ^ 0x80808080u;
        const uint32_t d = sf_word(in + 12) ^ 0x80808080u;
        sf_put_word(out, a);
        sf_put_word(out + 4, b);
        sf_put_word(out + 8, c);
        sf_put_word(out + 12, d);
    }
    for (; n >= 4u; n -= 4u, in += 4, out += 4) {
        sf_put_word(out, sf_word(in) ^ 0x80808080u);
    }
    for (; n > 0u; n--) {
        *out++ = (uint8_t)(*in++ ^ 0x80u);
    }
}

static sf_status_t emit_row(const sf_fused_graph_t *graph, uint8_t *state, sf_latent_fn emit, void *context) {
    uint8_t *row = state + graph->latent;
    const uint32_t n = (uint32_t)graph->latent_width * graph->latent_channels;
    flip_signs(row, row, n);
    for (uint32_t x = 0; x < n; x += graph->latent_channels) {
        const sf_status_t status = emit(context, (const int8_t *)(row + x));
        if (status < SF_OK) {
            return status;
        }
    }
    return SF_OK;
}

sf_status_t sf_fused_reset(const sf_fused_graph_t *graph, void *state) {
    if (graph == NULL || state == NULL) {
        return SF_ERR_ARGUMENT;
    }
    for (uint32_t i = 0; i < graph->stage_count; i++) {
        const sf_fused_stage_t *stage = &graph->stages[i];
        memset((uint8_t *)state + stage->ring, stage->pad_value, (size_t)stage->slots * stage->pitch);
        sf_fused_count_t *count = &counts((uint8_t *)state)[i];
        count->seen = stage->pad_top;
        count->made = 0;
        count->again = 0;
        count->slot = (uint8_t)((stage->pad_top + stage->slots - 1u) % stage->slots);
    }
    return SF_OK;
}

/* A row lies in the latest slot of stage `at` (or the latest row has more to give): run it. */
static uint32_t run_stage(const sf_fused_graph_t *graph, uint8_t *state, uint32_t at) {
    const sf_fused_stage_t *stage = &graph->stages[at];
    sf_fused_count_t *count = &counts(state)[at];
    uint8_t *out = state + graph->latent;
    if (at + 1u < graph->stage_count) {
        out = slot_row(stage + 1, state, next_slot(stage + 1, count + 1));
    }
    const sf_fused_job_t job = {stage, state, count, out};
    const uint32_t result = stage->run(&job);
    count->again = (uint8_t)(result & SF_FUSED_AGAIN);
    if ((result & SF_FUSED_ROW) != 0u) {
        count->made++;
    }
    return result;
}

/* The producer has written the next slot of a stage. */
static void arrive(const sf_fused_stage_t *stage, uint8_t *state, sf_fused_count_t *count) {
    count->slot = (uint8_t)next_slot(stage, count);
    count->seen++;
    if (stage->spill > 0u) {
        memset(slot_row(stage, state, count->slot) + stage->row_bytes, stage->pad_value, stage->spill);
    }
}

/* Whether a row of padding below the image is due; it is then placed. */
static int pad_below(const sf_fused_stage_t *stage, uint8_t *state, sf_fused_count_t *count) {
    const uint32_t real = (uint32_t)stage->pad_top + stage->in_rows;
    if (count->seen < real || count->seen >= real + stage->pad_bottom) {
        return 0;
    }
    memset(slot_row(stage, state, next_slot(stage, count)), stage->pad_value, stage->row_bytes);
    arrive(stage, state, count);
    return 1;
}

sf_status_t sf_fused_push_row(const sf_fused_graph_t *graph, void *state, uint16_t row, const int8_t *values,
                              sf_latent_fn emit, void *context) {
    if (graph == NULL || state == NULL || values == NULL || emit == NULL) {
        return SF_ERR_ARGUMENT;
    }
    if (row >= graph->stages[0].in_rows) {
        return SF_ERR_ROW;
    }
    uint8_t *bytes = (uint8_t *)state;
    sf_fused_count_t *count = counts(bytes);
    flip_signs(slot_row(graph->stages, bytes, next_slot(graph->stages, count)), (const uint8_t *)values,
               graph->row_bytes);
    arrive(graph->stages, bytes, count);
    uint32_t at = 0;
    for (;;) {
        uint32_t result = run_stage(graph, bytes, at);
        if ((result & SF_FUSED_ROW) != 0u) {
            if (at + 1u < graph->stage_count) {
                at++;
                arrive(&graph->stages[at], bytes, &count[at]);
                continue;
            }
            const sf_status_t status = emit_row(graph, bytes, emit, context);
            if (status < SF_OK) {
                return status;
            }
        }
        /* Nothing flows further down: back up to the lowest stage that has more to give. */
        while (count[at].again == 0u && !pad_below(&graph->stages[at], bytes, &count[at])) {
            if (at == 0u) {
                return SF_OK;
            }
            at--;
        }
    }
}
