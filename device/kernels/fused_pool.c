/* Pooling and table stages of the streaming engine. */
#include "semflash/fused.h"

#include "semflash/fused_math.h"

static int row_complete(const sf_fused_job_t *job) {
    const sf_fused_stage_t *stage = job->stage;
    const uint32_t first = stage->kernel_rows;
    return job->count->seen >= first && job->count->made < stage->out_rows &&
           (job->count->seen - first) == (uint32_t)job->count->made * stage->stride_rows;
}

static uint8_t *slot_start(const sf_fused_job_t *job, uint32_t slot) {
    return job->state + job->stage->ring + slot * job->stage->pitch;
}

static const uint8_t *kernel_row(const sf_fused_job_t *job, uint32_t index) {
    const uint32_t slots = job->stage->slots;
    const uint32_t slot = job->count->slot + slots - (job->stage->kernel_rows - 1u) + index;
    return slot_start(job, slot % slots);
}

static uint8_t limit(uint32_t value, const sf_fused_pool_t *pool) {
    return (uint8_t)(value < pool->low ? pool->low : value > pool->high ? pool->high : value);
}

static void limit_row(uint8_t *out, uint32_t n, const sf_fused_pool_t *pool) {
    if (pool->low == 0u && pool->high == 255u) {
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        out[i] = limit(out[i], pool);
    }
}

/* Maximum over `pixels` neighbouring pixels, and over what `out` holds already if `merge`. */
static void max_pixels(uint8_t *out, const uint8_t *in, uint32_t pixels, uint32_t channels, int merge) {
    uint32_t c = 0;
    for (; c + 4u <= channels; c += 4u, in += 4, out += 4) {
        uint32_t best = sf_word(in);
        const uint8_t *p = in;
        for (uint32_t i = 1; i < pixels; i++) {
            p += channels;
            best = sf_max4(best, sf_word(p));
        }
        sf_put_word(out, merge ? sf_max4(best, sf_word(out)) : best);
    }
    for (; c < channels; c++, in++, out++) {
        uint8_t best = merge ? *out : (uint8_t)0;
        for (uint32_t i = 0; i < pixels; i++) {
            best = in[i * channels] > best ? in[i * channels] : best;
        }
        *out = best;
    }
}

/* Inner windows of 2 or 3 pixels, channels in fours: the common cases, without the inner loop. */
static inline void max_words(uint8_t *out, const uint8_t *in, const sf_fused_pool_t *pool, uint32_t windows,
                             int three, int merge) {
    const uint32_t channels = pool->channels;
    const uint32_t skip = ((uint32_t)pool->stride_columns - 1u) * channels;
    for (; windows > 0u; windows--, in += skip) {
        for (uint32_t c = channels; c > 0u; c -= 4u, in += 4, out += 4) {
            uint32_t best = sf_max4(sf_word(in), sf_word(in + channels));
            if (three) {
                best = sf_max4(best, sf_word(in + 2u * channels));
            }
            if (merge) {
                best = sf_max4(best, sf_word(out));
            }
            sf_put_word(out, best);
        }
    }
}

/* Windows first..end of one row; they lie inside it. Returns 0 where the general way has to be taken. */
static int max_inner(uint8_t *out, const uint8_t *in, const sf_fused_pool_t *pool, uint32_t windows,
                     int merge) {
    if ((pool->channels & 3u) != 0u || pool->kernel_columns < 2u || pool->kernel_columns > 3u) {
        return 0;
    }
    if (pool->kernel_columns == 3u) {
        if (merge) {
            max_words(out, in, pool, windows, 1, 1);
        } else {
            max_words(out, in, pool, windows, 1, 0);
        }
    } else if (merge) {
        max_words(out, in, pool, windows, 0, 1);
    } else {
        max_words(out, in, pool, windows, 0, 0);
    }
    return 1;
}

/* One input row (its first real byte) into the windows of one output row. */
static void max_row(uint8_t *out, const uint8_t *in, const sf_fused_pool_t *pool, int merge) {
    const uint32_t channels = pool->channels;
    uint32_t x = 0;
    if (pool->pad_left == 0u) { /* all windows from the left that lie inside */
        const uint32_t fit = (uint32_t)(pool->in_width - pool->kernel_columns) / pool->stride_columns + 1u;
        const uint32_t inside = pool->in_width < pool->kernel_columns ? 0u
                                : fit < pool->out_width               ? fit
                                                                      : pool->out_width;
        x = max_inner(out, in, pool, inside, merge) ? inside : 0u;
    }
    for (out += x * channels; x < pool->out_width; x++, out += channels) {
        const int32_t start = (int32_t)(x * pool->stride_columns) - pool->pad_left;
        const int32_t stop = start + pool->kernel_columns;
        const uint32_t first = start < 0 ? 0u : (uint32_t)start;
        const uint32_t end = stop > (int32_t)pool->in_width ? pool->in_width : (uint32_t)stop;
        max_pixels(out, in + first * channels, end - first, channels, merge);
    }
}

/* Windows that overlap by at most one row: the output row itself is the running maximum, nothing else is kept. */
uint32_t sf_fused_run_max(const sf_fused_job_t *job) {
    const sf_fused_stage_t *stage = job->stage;
    const sf_fused_pool_t *pool = (const sf_fused_pool_t *)stage->layer;
    if (job->count->made >= stage->out_rows) {
        return 0;
    }
    const int32_t row = (int32_t)job->count->seen - 1;
    const int32_t top = (int32_t)((uint32_t)job->count->made * pool->stride_rows) - pool->pad_top;
    const int32_t last = (int32_t)pool->in_rows - 1;
    const int32_t bottom = top + pool->kernel_rows - 1 < last ? top + pool->kernel_rows - 1 : last;
    if (row < top) {
        return 0; /* between two windows */
    }
    uint8_t *out = sf_fused_out(job);
    max_row(out, slot_start(job, 0), pool, row > (top < 0 ? 0 : top));
    if (row < bottom) {
        return 0;
    }
    limit_row(out, (uint32_t)pool->out_width * pool->channels, pool);
    const int32_t next_top = top + pool->stride_rows;
    return job->count->made + 1u < stage->out_rows && row >= next_top ? SF_FUSED_ROW | SF_FUSED_AGAIN
                                                                      : SF_FUSED_ROW;
}

/* Any other maximum: the ring holds the whole window, padding included. */
uint32_t sf_fused_run_max_ring(const sf_fused_job_t *job) {
    if (!row_complete(job)) {
        return 0;
    }
    const sf_fused_pool_t *pool = (const sf_fused_pool_t *)job->stage->layer;
    const uint32_t column = (uint32_t)pool->stride_columns * pool->channels;
    for (uint32_t r = 0; r < pool->kernel_rows; r++) {
        const uint8_t *in = kernel_row(job, r);
        uint8_t *out = sf_fused_out(job);
        for (uint32_t x = pool->out_width; x > 0u; x--, in += column, out += pool->channels) {
            max_pixels(out, in, pool->kernel_columns, pool->channels, r > 0u);
        }
    }
    limit_row(sf_fused_out(job), (uint32_t)pool->out_width * pool->channels, pool);
    return SF_FUSED_ROW;
}

/* Pixels of a window of `size` at `start` that lie inside 0..limit. */
static int32_t inside(int32_t start, int32_t size, int32_t extent) {
    const int32_t first = start < 0 ? 0 : start;
    const int32_t end = start + size > extent ? extent : start + size;
    return end - first;
}

/* Padding holds the byte 128 (zero), or the value of an explicit PAD. */
uint32_t sf_fused_run_average(const sf_fused_job_t *job) {
    if (!row_complete(job)) {
        return 0;
    }
    const sf_fused_pool_t *pool = (const sf_fused_pool_t *)job->stage->layer;
    const int32_t top = (int32_t)((uint32_t)job->count->made * pool->stride_rows) - pool->pad_top;
    uint8_t *out = sf_fused_out(job);
    for (uint32_t x = 0; x < pool->out_width; x++) {
        const int32_t left = (int32_t)(x * pool->stride_columns) - pool->pad_left;
        const int32_t all = (int32_t)pool->kernel_rows * pool->kernel_columns;
        const int32_t counted = pool->count_padding != 0u
                                    ? all
                                    : inside(top, pool->kernel_rows, pool->in_rows) *
                                          inside(left, pool->kernel_columns, pool->in_width);
        for (uint32_t c = 0; c < pool->channels; c++) {
            int32_t sum = -128 * all;
            for (uint32_t r = 0; r < pool->kernel_rows; r++) {
                const uint8_t *in = kernel_row(job, r) + x * pool->stride_columns * pool->channels + c;
                for (uint32_t i = 0; i < pool->kernel_columns; i++, in += pool->channels) {
                    sum += *in;
                }
            }
            const int32_t mean = (sum > 0 ? sum + counted / 2 : sum - counted / 2) / counted;
            *out++ = limit((uint32_t)(mean + 128), pool);
        }
    }
    return SF_FUSED_ROW;
}

uint32_t sf_fused_run_table(const sf_fused_job_t *job) {
    const uint8_t *table = (const uint8_t *)job->stage->layer;
    const uint8_t *in = slot_start(job, 0);
    uint8_t *out = sf_fused_out(job);
    for (uint32_t i = 0; i < job->stage->row_bytes; i++) {
        out[i] = table[in[i]];
    }
    return SF_FUSED_ROW;
}
