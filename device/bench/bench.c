/* See semflash/bench.h. Linked with --wrap=sf_encoder_begin,--wrap=sf_encoder_push_row. */
#include "semflash/bench.h"

#include "semflash/encoder.h"

#ifndef SF_BENCH_LAYERS
#error "SF_BENCH_LAYERS: number of layers"
#endif

#define PAINT       0xC33CA55Au
#define PAINT_BYTES 8192u /* looked at below the encoder's frame */
#define PAINT_GAP   64u   /* of this file's own frame */
#define ROUNDS      64u

extern uint32_t sf_stack_limit[]; /* linker script */

sf_status_t __real_sf_encoder_begin(sf_encoder_t *encoder);
sf_status_t __real_sf_encoder_push_row(sf_encoder_t *encoder, const int8_t *row, size_t row_bytes);
sf_status_t __wrap_sf_encoder_begin(sf_encoder_t *encoder);
sf_status_t __wrap_sf_encoder_push_row(sf_encoder_t *encoder, const int8_t *row, size_t row_bytes);

static struct {
    sf_port_t port;
    uint32_t ticks[SF_BENCH_LAYERS + 1]; /* the last one is what calibration and excess layers write to */
    uint32_t base;                       /* all that was reported of images before */
    uint32_t images;                     /* begun since reset */
    uint32_t layer;                      /* being run */
    uint32_t next;
    uint32_t first; /* number of the graph's first layer */
    uint32_t depth; /* in a layer; a streaming segment enters its stages, which count as the layer */
    uint32_t start;
    uint32_t cost; /* of an empty layer; 1/ROUNDS ticks */
    uint32_t stack;
} bench;

/* Of every layer of this image. A symbol of its own: the emulator's plugin (device/emulator/cycles.c) sees which of
 * them sf_bench_leave writes to, and so which layer has ended. */
extern uint32_t sf_bench_calls[SF_BENCH_LAYERS + 1];
uint32_t sf_bench_calls[SF_BENCH_LAYERS + 1];

static uint32_t now(void) {
    return bench.port.ticks(bench.port.context);
}

/* Ticks of the selected layer of this image so far. */
static uint32_t selected(void) {
    if (bench.images < 2u) {
        return 0;
    }
    const uint32_t layer = (bench.images - 2u) % SF_BENCH_LAYERS;
    const uint32_t overhead = (uint32_t)((uint64_t)sf_bench_calls[layer] * bench.cost / ROUNDS);
    return bench.ticks[layer] > overhead ? bench.ticks[layer] - overhead : 0u;
}

/* The port's counter for the device: it only goes forward, also where the next layer is selected. */
static uint32_t selected_ticks(void *context) {
    (void)context;
    return bench.base + selected();
}

static uint32_t encoder_stack(void *context) {
    (void)context;
    return bench.stack;
}

static void enter(uint32_t layer) {
    bench.depth++;
    if (bench.depth > 1u) {
        return;
    }
    bench.layer = layer < SF_BENCH_LAYERS ? layer : SF_BENCH_LAYERS;
    bench.start = now();
}

void sf_bench_enter(uint32_t layer) {
    enter(bench.first + layer);
}

void sf_bench_enter_next(void) {
    enter(bench.next);
    bench.next++;
}

void sf_bench_graph(uint32_t first) {
    bench.first = first;
}

void sf_bench_leave(void) {
    bench.depth--;
    if (bench.depth > 0u) {
        return;
    }
    bench.ticks[bench.layer] += now() - bench.start;
    sf_bench_calls[bench.layer]++;
}

void sf_bench_attach(sf_port_t *port) {
    bench.port = *port;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        sf_bench_enter(SF_BENCH_LAYERS);
        sf_bench_leave();
    }
    bench.cost = bench.ticks[SF_BENCH_LAYERS];
    port->ticks = selected_ticks;
    port->stack_bytes = encoder_stack;
}

sf_status_t __wrap_sf_encoder_begin(sf_encoder_t *encoder) {
    bench.base += selected();
    bench.images++;
    bench.next = 0;
    bench.depth = 0;
    for (uint32_t i = 0; i <= SF_BENCH_LAYERS; i++) {
        bench.ticks[i] = 0;
        sf_bench_calls[i] = 0;
    }
    return __real_sf_encoder_begin(encoder);
}

/* Paint below this frame, run, and see how deep the paint is gone. */
sf_status_t __wrap_sf_encoder_push_row(sf_encoder_t *encoder, const int8_t *row, size_t row_bytes) {
    const uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
    const uintptr_t limit = (uintptr_t)sf_stack_limit;
    const uintptr_t top = frame - PAINT_GAP;
    const uintptr_t bottom = top - limit > PAINT_BYTES ? top - PAINT_BYTES : limit;
    for (uintptr_t at = bottom; at < top; at += 4u) {
        *(volatile uint32_t *)at = PAINT;
    }
    const sf_status_t status = __real_sf_encoder_push_row(encoder, row, row_bytes);
    uintptr_t deepest = bottom;
    while (deepest < top && *(volatile uint32_t *)deepest == PAINT) {
        deepest += 4u;
    }
    const uint32_t used = (uint32_t)(frame - deepest);
    bench.stack = used > bench.stack ? used : bench.stack;
    return status;
}
