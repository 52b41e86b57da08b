/* Convolution stages of the streaming engine: they slice rows into kernel calls. */
#include "semflash/fused.h"

#include "semflash/fused_math.h"

/* Whether the latest row completes an output row that is still wanted. */
static int row_complete(const sf_fused_job_t *job) {
    const sf_fused_stage_t *stage = job->stage;
    const uint32_t first = stage->kernel_rows;
    return job->count->seen >= first && job->count->made < stage->out_rows &&
           (job->count->seen - first) == (uint32_t)job->count->made * stage->stride_rows;
}

static const uint8_t *slot_start(const sf_fused_job_t *job, uint32_t slot) {
    return job->state + job->stage->ring + slot * job->stage->pitch;
}

/* Kernel rows from the oldest to the latest, beginning with the padding on the left. */
static void find_rows(const sf_fused_job_t *job, const uint8_t **rows) {
    const uint32_t slots = job->stage->slots;
    uint32_t slot = job->count->slot + slots - (job->stage->kernel_rows - 1u);
    slot -= slot >= slots ? slots : 0u;
    for (uint32_t i = 0; i < job->stage->kernel_rows; i++) {
        rows[i] = slot_start(job, slot);
        slot++;
        slot -= slot == slots ? slots : 0u;
    }
}

static void move_rows(sf_fused_call_t *call, uint32_t rows, int32_t bytes) {
    for (uint32_t i = 0; i < rows; i++) {
        call->rows[i] += bytes;
    }
}

/* All pixels of one row. per_pair: output pixels of a pair, 2, or 1 where their maximum is stored. */
static void whole_row(const sf_fused_job_t *job, const sf_fused_conv_t *conv, uint8_t *out,
                      uint32_t per_pair) {
    const int32_t columns = conv->column_bytes;
    const uint32_t runs = (uint32_t)conv->kernel_rows * conv->chunks;
    sf_fused_call_t call;
    find_rows(job, call.rows);
    call.sums = (int32_t *)(void *)(job->state + job->stage->scratch); /* rows kernels */
    for (uint32_t i = runs; conv->chunks > 1u && i > 0u; i--) {
        call.rows[i - 1u] = call.rows[(i - 1u) / conv->chunks] + (i - 1u) % conv->chunks * conv->run_bytes;
    }
    call.weights = sf_fused_table(job, conv);
    call.weights_end = call.weights + conv->weight_words;
    call.out0 = out + 4u * (conv->groups - 1u);
    call.out1 = call.out0 + conv->out_channels;
    call.pairs = conv->out_width / 2u;
    call.in_delta = columns;
    call.in_step = 2 * columns;
    call.out_step = (int32_t)(per_pair * conv->out_channels + 4u * conv->groups);
    if (call.pairs > 0u) {
        conv->kernel(&call, conv);
    }
    if ((conv->out_width & 1u) != 0u) { /* the last pixel, computed as both pixels of a pair */
        move_rows(&call, runs, (int32_t)call.pairs * call.in_step);
        call.out0 += per_pair * call.pairs * conv->out_channels;
        call.out1 = call.out0;
        call.in_delta = 0;
        call.pairs = 1;
        conv->kernel(&call, conv);
    }
}

/* The same four pixels at a time; the last four begin where they end with the row. per_quad: pixels stored. */
static void quads_row(const sf_fused_job_t *job, const sf_fused_conv_t *conv, uint8_t *out,
                      uint32_t per_quad) {
    const int32_t columns = conv->column_bytes;
    sf_fused_call_t call;
    find_rows(job, call.rows);
    call.weights = sf_fused_table(job, conv);
    call.weights_end = call.weights + conv->weight_words;
    call.out0 = out + 2u * (conv->groups - 1u);
    call.pairs = conv->out_width / 4u;
    call.in_delta = columns;
    call.in_step = 4 * columns;
    call.out_step = (int32_t)(per_quad * conv->out_channels + 2u * conv->groups);
    conv->kernel(&call, conv);
    if ((conv->out_width & 3u) != 0u) {
        const uint32_t column = conv->out_width - 4u;
        move_rows(&call, conv->kernel_rows, (int32_t)column * columns);
        call.out0 += column * per_quad / 4u * conv->out_channels;
        call.pairs = 1;
        conv->kernel(&call, conv);
    }
}

static void finished_row(const sf_fused_job_t *job, const sf_fused_conv_t *conv, uint8_t *out,
                         uint32_t per_pair) {
    if (conv->pixels == 4u) {
        quads_row(job, conv, out, 2u * per_pair);
    } else {
        whole_row(job, conv, out, per_pair);
    }
}

uint32_t sf_fused_run_conv(const sf_fused_job_t *job) {
    if (!row_complete(job)) {
        return 0;
    }
    finished_row(job, (const sf_fused_conv_t *)job->stage->layer, sf_fused_out(job), 2);
    return SF_FUSED_ROW;
}

/* Number of the convolution's row that the latest input row completes, or -1. */
static int32_t inner_row(const sf_fused_job_t *job) {
    const uint32_t stride = job->stage->stride_rows;
    if (job->count->seen < job->stage->kernel_rows || job->count->made >= job->stage->out_rows) {
        return -1;
    }
    const uint32_t ahead = job->count->seen - (uint32_t)job->stage->kernel_rows;
    return ahead % stride == 0u ? (int32_t)(ahead / stride) : -1;
}

/* made counts rows of the maximum; the next stage's slot is the running maximum of two rows of the convolution. */
uint32_t sf_fused_run_conv_pooled(const sf_fused_job_t *job) {
    const sf_fused_conv_t *conv = (const sf_fused_conv_t *)job->stage->layer;
    const int32_t row = inner_row(job);
    if (row < 0 || row >= (int32_t)conv->out_rows) {
        return 0;
    }
    uint8_t *out = sf_fused_out(job);
    if ((row & 1) == 0) {
        memset(out, 0, (size_t)((conv->out_width + 1u) / 2u) * conv->out_channels);
    }
    finished_row(job, conv, out, 1);
    return (row & 1) != 0 || row + 1 == (int32_t)conv->out_rows ? SF_FUSED_ROW : 0u;
}

static void start_sums(const sf_fused_conv_t *conv, int32_t *sums) {
    const int32_t *bias = conv->bias;
    for (uint32_t group = conv->groups; group > 0u; group--, bias += 4, sums += 8) {
        const int32_t b0 = bias[0], b1 = bias[1], b2 = bias[2], b3 = bias[3];
        sums[0] = b0, sums[1] = b1, sums[2] = b0, sums[3] = b1;
        sums[4] = b2, sums[5] = b3, sums[6] = b2, sums[7] = b3;
    }
}

/* Requantise `pairs` pairs of accumulators that lie one after the other. */
static void finish_pairs(const sf_fused_conv_t *conv, int32_t *sums, uint8_t *out, uint32_t pairs, int odd) {
    sf_fused_call_t call; /* rows: not read by finish */
    call.sums = sums;
    call.weights = conv->requant.cheap;
    const sf_fused_requant_t *q = &conv->requant;
    const uint32_t words = q->mixed != 0u ? (q->shift != 0u ? 2u : 3u) : 2u + q->is_signed;
    call.weights_end = q->cheap + (uint32_t)conv->groups * 4u * words;
    call.out0 = out + 4u * (conv->groups - 1u);
    call.out1 = odd ? call.out0 : call.out0 + conv->out_channels;
    call.out_step = (int32_t)(2u * conv->out_channels + 4u * conv->groups);
    call.pairs = pairs;
    conv->finish(&call, conv);
}

uint32_t sf_fused_run_conv_chunked(const sf_fused_job_t *job) {
    if (!row_complete(job)) {
        return 0;
    }
    const sf_fused_conv_t *conv = (const sf_fused_conv_t *)job->stage->layer;
    int32_t *sums = (int32_t *)(void *)(job->state + job->stage->scratch);
    const uint8_t *rows[SF_FUSED_ROWS_MAX];
    find_rows(job, rows);
    uint8_t *out = sf_fused_out(job);
    sf_fused_call_t call; /* out0, out1: not read by accumulation */
    call.sums = sums;
    call.in_step = 0;
    call.pairs = 1;
    for (uint32_t x = 0; x < conv->out_width; x += 2u) {
        const int odd = x + 1u == conv->out_width;
        call.in_delta = odd ? 0 : (int32_t)conv->column_bytes;
        call.weights = conv->weights;
        start_sums(conv, sums);
        for (uint32_t r = 0; r < conv->kernel_rows; r++) {
            call.rows[0] = rows[r] + x * conv->column_bytes;
            for (uint32_t chunk = conv->chunks; chunk > 0u; chunk--) {
                call.weights_end = call.weights + conv->chunk_words;
                conv->kernel(&call, conv);
                call.weights = call.weights_end;
                call.rows[0] += conv->run_bytes;
            }
        }
        finish_pairs(conv, sums, out + x * conv->out_channels, 1, odd);
    }
    return SF_FUSED_ROW;
}

/* Requantise the persistent accumulators of a whole row. */
static void finish_row(const sf_fused_conv_t *conv, int32_t *sums, uint8_t *out) {
    const uint32_t pairs = conv->out_width / 2u;
    if (pairs > 0u) {
        finish_pairs(conv, sums, out, pairs, 0);
    }
    if ((conv->out_width & 1u) != 0u) {
        finish_pairs(conv, sums + 8u * pairs * conv->groups, out + 2u * pairs * conv->out_channels, 1, 1);
    }
}

static void start_row(const sf_fused_conv_t *conv, int32_t *sums) {
    for (uint32_t n = (conv->out_width + 1u) / 2u; n > 0u; n--, sums += 8u * conv->groups) {
        start_sums(conv, sums);
    }
}

uint32_t sf_fused_run_accumulate(const sf_fused_job_t *job) {
    const sf_fused_stage_t *stage = job->stage;
    if (job->count->made >= stage->out_rows) {
        return 0;
    }
    const sf_fused_conv_t *conv = (const sf_fused_conv_t *)stage->layer;
    int32_t *sums = (int32_t *)(void *)(job->state + stage->scratch);
    const uint32_t kernel_row = job->count->seen - 1u - (uint32_t)job->count->made * stage->kernel_rows;
    if (kernel_row == 0u) {
        start_row(conv, sums);
    }
    const uint32_t pairs = conv->out_width / 2u;
    const uint8_t *row = slot_start(job, 0);
    sf_fused_call_t call; /* out0, out1: not read by accumulation */
    call.weights = conv->weights + kernel_row * conv->chunks * conv->chunk_words;
    for (uint32_t chunk = 0; chunk < conv->chunks; chunk++, row += conv->run_bytes) {
        call.weights_end = call.weights + conv->chunk_words;
        call.rows[0] = row;
        call.sums = sums;
        call.pairs = pairs;
        call.in_delta = conv->column_bytes;
        call.in_step = 2 * (int32_t)conv->column_bytes;
        if (pairs > 0u) {
            conv->kernel(&call, conv);
        }
        if ((conv->out_width & 1u) != 0u) {
            call.rows[0] = row + pairs * 2u * conv->column_bytes;
            call.sums = sums + 8u * pairs * conv->groups;
            call.pairs = 1;
            call.in_delta = 0;
            conv->kernel(&call, conv);
        }
        call.weights = call.weights_end;
    }
    if (kernel_row + 1u < stage->kernel_rows) {
        return 0;
    }
    finish_row(conv, sums, sf_fused_out(job));
    return SF_FUSED_ROW;
}

/* made counts rows of the second convolution; one of them takes second_kernel_rows rows of the first. */
uint32_t sf_fused_run_strip(const sf_fused_job_t *job) {
    const sf_fused_stage_t *stage = job->stage;
    const sf_fused_strip_t *strip = (const sf_fused_strip_t *)stage->layer;
    const sf_fused_conv_t *first = strip->first;
    const sf_fused_conv_t *second = strip->second;
    const int32_t row = inner_row(job);
    if (row < 0) {
        return 0;
    }
    int32_t *sums = (int32_t *)(void *)(job->state + stage->scratch);
    const uint32_t kernel_row = (uint32_t)row - (uint32_t)job->count->made * second->kernel_rows;
    if (kernel_row == 0u) {
        start_row(second, sums);
    }
    sf_fused_strip_call_t call;
    find_rows(job, call.rows);
    call.weights = sf_fused_table(job, first);
    call.weights_end = call.weights + first->weight_words;
    call.weights2 = second->weights + kernel_row * second->chunk_words;
    call.weights2_end = call.weights2 + second->chunk_words;
    call.sums = sums;
    call.pairs = second->out_width / 2u;
    call.in_delta = (int32_t)strip->second_kernel_columns * first->column_bytes;
    if (call.pairs > 0u) {
        strip->kernel(&call, strip);
    }
    if ((second->out_width & 1u) != 0u) {
        for (uint32_t r = 0; r < first->kernel_rows; r++) {
            call.rows[r] += 2 * (int32_t)call.pairs * call.in_delta;
        }
        call.sums += 8u * call.pairs * second->groups;
        call.pairs = 1;
        call.in_delta = 0;
        strip->kernel(&call, strip);
    }
    if (kernel_row + 1u < second->kernel_rows) {
        return 0;
    }
    finish_row(second, sums, sf_fused_out(job));
    return SF_FUSED_ROW;
}
