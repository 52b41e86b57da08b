/* The row scheduler of the streaming engine: which stage gets which row when. */
#include "semflash/fused.h"

#include "semflash/bench.h"
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
#if SF_FUSED_ASSEMBLY
    if (n >= 16u && (((uintptr_t)out | (uintptr_t)in) & 3u) == 0u) {
        __asm__ volatile("1:\n"
                         "ldmia %1!, {r3, r4, r5, r6}\n"
                         "eor r3, r3, #0x80808080\n"
                         "eor r4, r4, #0x80808080\n"
                         "eor r5, r5, #0x80808080\n"
                         "eor r6, r6, #0x80808080\n"
                         "stmia %0!, {r3, r4, r5, r6}\n"
                         "sub %2, %2, #16\n"
                         "cmp %2, #16\n"
                         "bhs 1b\n"
                         : "+r"(out), "+r"(in), "+r"(n)
                         :
                         : "r3", "r4", "r5", "r6", "cc", "memory");
    }
#endif
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

/* Padding: n bytes, a multiple of 4. */
static void fill(uint8_t *out, uint8_t value, uint32_t n) {
    const uint32_t word = value * 0x01010101u;
    for (const uint8_t *end = out + n; out != end; out += 4) {
        sf_put_word(out, word);
    }
}

sf_status_t sf_fused_reset(const sf_fused_graph_t *graph, void *state) {
    for (uint32_t i = 0; i < graph->stage_count; i++) {
        const sf_fused_stage_t *stage = &graph->stages[i];
        if (stage->table != NULL) {
            memcpy((uint8_t *)state + stage->table_at, stage->table, 4u * (size_t)stage->table_words);
        }
        fill((uint8_t *)state + stage->ring, stage->pad_value, (uint32_t)stage->slots * stage->pitch);
        sf_fused_count_t *count = &counts((uint8_t *)state)[i];
        count->seen = stage->pad_top;
        count->made = 0;
        count->again = 0;
        count->slot = (uint8_t)((stage->pad_top + stage->slots - 1u) % stage->slots);
    }
    return SF_OK;
}

/* The producer has written the next slot of a stage. */
static void arrive(const sf_fused_stage_t *stage, uint8_t *state, sf_fused_count_t *count) {
    const uint32_t slot = next_slot(stage, count);
    count->slot = (uint8_t)slot;
    count->seen++;
    uint8_t *end = slot_row(stage, state, slot) + stage->row_bytes;
    for (uint32_t i = stage->spill; i > 0u; i--) {
        *end++ = stage->pad_value;
    }
}

/* Whether a row of padding below the image is due; it is then placed. */
static int pad_below(const sf_fused_stage_t *stage, uint8_t *state, sf_fused_count_t *count) {
    const uint32_t real = (uint32_t)stage->pad_top + stage->in_rows;
    if (stage->pad_bottom == 0u || count->seen < real || count->seen >= real + stage->pad_bottom) {
        return 0;
    }
    fill(slot_row(stage, state, next_slot(stage, count)) - stage->left, stage->pad_value, stage->pitch);
    arrive(stage, state, count);
    return 1;
}

const uint32_t *sf_fused_table(const sf_fused_job_t *job, const sf_fused_conv_t *conv) {
    return job->stage->table != NULL ? (const uint32_t *)(const void *)(job->state + job->stage->table_at)
                                     : conv->weights;
}

uint8_t *sf_fused_out(const sf_fused_job_t *job) {
    if (job->graph->stages + job->graph->stage_count == job->stage + 1) {
        return job->state + job->graph->latent;
    }
    return slot_row(job->stage + 1, job->state, next_slot(job->stage + 1, job->count + 1));
}

sf_status_t sf_fused_push_row(const sf_fused_graph_t *graph, void *state, uint16_t row, const int8_t *values,
                              sf_latent_fn emit, void *context) {
    sf_fused_job_t job = {graph->stages, graph, (uint8_t *)state, counts((uint8_t *)state)};
    if (row >= job.stage->in_rows) {
        return SF_ERR_ROW;
    }
    flip_signs(slot_row(job.stage, job.state, next_slot(job.stage, job.count)), (const uint8_t *)values,
               graph->row_bytes);
    arrive(job.stage, job.state, job.count);
    for (;;) {
        SF_BENCH_ENTER((uint32_t)(job.stage - graph->stages));
        const uint32_t result = job.stage->run(&job);
        SF_BENCH_LEAVE();
        job.count->again = (uint8_t)(result & SF_FUSED_AGAIN);
        if ((result & SF_FUSED_ROW) != 0u) {
            job.count->made++;
            if (job.stage + 1 != graph->stages + graph->stage_count) {
                job.stage++;
                job.count++;
                arrive(job.stage, job.state, job.count);
                continue;
            }
            const sf_status_t status = emit_row(graph, job.state, emit, context);
            if (status < SF_OK) {
                return status;
            }
        }
        /* Nothing flows further down: back up to the lowest stage that has more to give. */
        while (job.count->again == 0u && !pad_below(job.stage, job.state, job.count)) {
            if (job.stage == graph->stages) {
                return SF_OK;
            }
            job.stage--;
            job.count--;
        }
    }
}
