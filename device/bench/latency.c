/* The time from the last row to the last code, for benchmarks/link_latency.py: linked instead of bench.c, with the same
 * --wrap options. IMAGE_STATS of an image carries as stack bytes the ticks that it took for the image before; layers are
 * not timed.
 */
#include "semflash/bench.h"

#include "semflash/encoder.h"
#include "semflash/wire.h"

/* Of a frame on the line: the first COBS code, then version and type, none of them 0. */
#define TYPE_PLACE 2u

sf_status_t __real_sf_encoder_begin(sf_encoder_t *encoder);
sf_status_t __real_sf_encoder_push_row(sf_encoder_t *encoder, const int8_t *row, size_t row_bytes);
sf_status_t __wrap_sf_encoder_begin(sf_encoder_t *encoder);
sf_status_t __wrap_sf_encoder_push_row(sf_encoder_t *encoder, const int8_t *row, size_t row_bytes);

static struct {
    sf_port_t port;
    uint32_t last_row;  /* when it came */
    uint32_t last_code; /* when the last frame of codes had ended */
    uint32_t before;    /* ticks of the image before */
    uint8_t inside;     /* a frame has begun */
    uint8_t codes;      /* it carries codes */
} latency;

static uint32_t now(void) {
    return latency.port.ticks(latency.port.context);
}

static uint32_t of_the_image_before(void *context) {
    (void)context;
    return latency.before;
}

static sf_status_t watched_write(void *context, const uint8_t *bytes, size_t n) {
    (void)context;
    if (latency.inside == 0u && n > TYPE_PLACE) {
        latency.codes =
            bytes[TYPE_PLACE] == (uint8_t)SF_FRAME_CODES || bytes[TYPE_PLACE] == (uint8_t)SF_FRAME_CODES_PART;
    }
    const sf_status_t status = latency.port.write(latency.port.context, bytes, n);
    latency.inside = n > 0u && bytes[n - 1u] != 0u;
    if (latency.inside == 0u && latency.codes != 0u) {
        latency.last_code = now();
        latency.codes = 0;
    }
    return status;
}

void sf_bench_attach(sf_port_t *port) {
    latency.port = *port;
    port->write = watched_write;
    port->stack_bytes = of_the_image_before;
}

void sf_bench_enter(uint32_t layer) {
    (void)layer;
}

void sf_bench_enter_next(void) {}

void sf_bench_graph(uint32_t first) {
    (void)first;
}

void sf_bench_leave(void) {}

sf_status_t __wrap_sf_encoder_begin(sf_encoder_t *encoder) {
    latency.before = latency.last_code - latency.last_row;
    return __real_sf_encoder_begin(encoder);
}

sf_status_t __wrap_sf_encoder_push_row(sf_encoder_t *encoder, const int8_t *row, size_t row_bytes) {
    if (encoder->next_row + 1u == encoder->program->rows) {
        latency.last_row = now();
    }
    return __real_sf_encoder_push_row(encoder, row, row_bytes);
}
