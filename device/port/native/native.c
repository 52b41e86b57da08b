#include "native.h"

#include <string.h>
#include <time.h>

#include "semflash/device.h"
#include "semflash/encoder.h"

#include "sf_model.h"

#ifndef SF_BOARD_NAME
#define SF_BOARD_NAME "native"
#endif
#ifndef SF_BUILD_ID
#define SF_BUILD_ID 0u
#endif

#ifndef SF_NATIVE_WINDOW
#define SF_NATIVE_WINDOW 8u
#endif
#ifndef SF_NATIVE_ROWS_PAYLOAD
#define SF_NATIVE_ROWS_PAYLOAD SF_FRAME_PAYLOAD_MAX
#endif
#define WINDOW       SF_NATIVE_WINDOW
#define ROWS_PAYLOAD SF_NATIVE_ROWS_PAYLOAD
#ifndef SF_LINK_PILOT_BYTES
#define SF_LINK_PILOT_BYTES 4 /* known bytes in each frame of codes; 0: none */
#endif
#ifndef SF_LINK_FRAGMENT_BYTES
#define SF_LINK_FRAGMENT_BYTES 0 /* most codes in one frame; 0: as many as fit */
#endif
/* Codes in fragments, each at least so long but the last, in frames with the longest prefix there is. */
#define PREFIX_MOST    SF_PREFIX_BYTES(SF_HELLO_CONTROLS_BYTES)
#define FRAGMENT_LEAST (SF_LINK_FRAGMENT_BYTES > 0 ? SF_LINK_FRAGMENT_BYTES : SF_FRAME_PAYLOAD_MAX / 2u)
#define FRAGMENTS      (SF_MODEL_PAYLOAD_BYTES / FRAGMENT_LEAST + 1u)
#define CODES_BYTES                                                                                          \
    (SF_MODEL_PAYLOAD_BYTES + SF_MODEL_PAYLOAD_BYTES / 254u +                                                \
     FRAGMENTS * SF_WIRE_BYTES(PREFIX_MOST + SF_LINK_PILOT_BYTES))
/* Most that one received frame makes the device send: CREDIT, codes, IMAGE_STATS, REFUSED, HELLO. */
#define ANSWER_BYTES                                                                                         \
    (SF_WIRE_BYTES(6u) + CODES_BYTES + SF_WIRE_BYTES(12u) +                                                  \
     SF_WIRE_BYTES(SF_HELLO_ENTRIES_BYTES + SF_HELLO_CONTROLS_BYTES + 2u))
#define OUTPUT_BYTES (16u * ANSWER_BYTES)

_Static_assert(4 + SF_MODEL_ROW_BYTES <= ROWS_PAYLOAD, "one image row does not fit into a frame");
_Static_assert(SF_LINK_PILOT_BYTES <= SF_FRAME_PAYLOAD_MAX / 4, "so many pilots leave no room for codes");
_Static_assert(sizeof SF_BOARD_NAME <= SF_BOARD_NAME_BYTES + 1u,
               "SF_BOARD_NAME is longer than 24 characters");

struct sf_native {
    uint8_t state[SF_MODEL_STATE_BYTES > 0 ? SF_MODEL_STATE_BYTES : 8] __attribute__((aligned(16)));
    uint8_t receive_buffer[SF_FRAME_BYTES(ROWS_PAYLOAD)] SF_ALIGN8;
    uint8_t payload[SF_MODEL_PAYLOAD_BYTES];
    uint8_t output[OUTPUT_BYTES];
    size_t output_bytes;
    uint64_t created_us;
    sf_encoder_t encoder;
    sf_device_t device;
};

static sf_status_t write_output(void *context, const uint8_t *bytes, size_t n) {
    sf_native_t *native = (sf_native_t *)context;
    if (n > OUTPUT_BYTES - native->output_bytes) {
        return SF_ERR_IO;
    }
    memcpy(native->output + native->output_bytes, bytes, n);
    native->output_bytes += n;
    return SF_OK;
}

static uint32_t nothing(void *context) {
    (void)context;
    return 0;
}

/* Of the host's clock; 0 where it has none. */
static uint64_t clock_us(void) {
    struct timespec now;
    if (timespec_get(&now, TIME_UTC) != TIME_UTC) {
        return 0;
    }
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static uint64_t uptime_us(void *context) {
    const uint64_t now = clock_us();
    const uint64_t created = ((const sf_native_t *)context)->created_us;
    return now > created ? now - created : 0u; /* the host's clock may be set back */
}

uint32_t sf_native_abi(void) {
    return SF_NATIVE_ABI;
}

/* A program begins with a graph that takes the image's rows. */
static const sf_graph_t *first_graph(void) {
    return sf_model.stages[0].as.graph;
}

void sf_native_describe(sf_native_info_t *info) {
    memset(info, 0, sizeof *info);
    info->bundle_hash = sf_model.bundle_hash;
    info->build_id = SF_BUILD_ID;
    info->state_bytes = sf_model.state_bytes;
    info->rows = sf_model.rows;
    info->row_bytes = sf_model.row_bytes;
    info->latent_positions = first_graph()->latent_positions;
    info->latent_channels = first_graph()->latent_channels;
    info->payload_bytes = sf_model.payload_bytes;
    info->bits_per_symbol = sf_model.regions[0].bits;
    memcpy(info->engine, sf_model.engine, sizeof sf_model.engine);
}

size_t sf_native_bytes(void) {
    return sizeof(sf_native_t);
}

sf_status_t sf_native_create(void *memory, size_t bytes, sf_native_t **device) {
    if (memory == NULL || device == NULL || ((uintptr_t)memory & 15u) != 0u) {
        return SF_ERR_ARGUMENT;
    }
    if (bytes < sizeof(sf_native_t)) {
        return SF_ERR_MEMORY;
    }
    sf_native_t *native = (sf_native_t *)memory;
    memset(native, 0, sizeof *native);
    sf_status_t status = sf_encoder_init(&native->encoder, &sf_model, native->state, sizeof native->state,
                                         native->payload, sizeof native->payload);
    if (status != SF_OK) {
        return status;
    }
    sf_device_config_t config = {0};
    config.port.context = native;
    config.port.write = write_output;
    config.port.ticks = nothing;
    config.port.stack_bytes = nothing;
    config.port.overruns = nothing;
    config.port.uptime_us = uptime_us;
    native->created_us = clock_us();
    config.board.counter_kind = SF_COUNTER_NONE;
    config.board.build_id = SF_BUILD_ID;
    memcpy(config.board.name, SF_BOARD_NAME, sizeof SF_BOARD_NAME - 1u);
#ifdef SF_DEVICE_ID
    static const uint8_t id[] = {SF_DEVICE_ID};
    config.board.id = id;
    config.board.id_bytes = sizeof id;
#endif
    config.encoder = &native->encoder;
    config.receive_buffer = native->receive_buffer;
    config.receive_bytes = sizeof native->receive_buffer;
    config.rows_payload = ROWS_PAYLOAD;
    config.window = WINDOW;
    config.pilot_bytes = SF_LINK_PILOT_BYTES;
    config.fragment_bytes = SF_LINK_FRAGMENT_BYTES;
    status = sf_device_init(&native->device, &config);
    *device = status == SF_OK ? native : NULL;
    return status;
}

size_t sf_native_receive(sf_native_t *device, const uint8_t *bytes, size_t n) {
    size_t taken = 0;
    while (taken < n && OUTPUT_BYTES - device->output_bytes >= ANSWER_BYTES) {
        /* Up to the next delimiter: one frame at most, so one answer at most. */
        const uint8_t *end = (const uint8_t *)memchr(bytes + taken, 0, n - taken);
        const size_t piece = end == NULL ? n - taken : (size_t)(end - (bytes + taken)) + 1u;
        if (sf_device_receive(&device->device, bytes + taken, piece) != SF_OK) {
            return taken; /* cannot happen: there is room for the answer */
        }
        taken += piece;
    }
    return taken;
}

size_t sf_native_drain(sf_native_t *device, uint8_t *out, size_t capacity) {
    const size_t n = device->output_bytes < capacity ? device->output_bytes : capacity;
    memcpy(out, device->output, n);
    memmove(device->output, device->output + n, device->output_bytes - n);
    device->output_bytes -= n;
    return n;
}

sf_status_t sf_native_control(sf_native_t *device, uint8_t id, uint16_t value) {
    return sf_encoder_control(&device->encoder, id, value);
}

sf_status_t sf_native_encode(sf_native_t *device, const int8_t *images, size_t n, uint8_t *payloads,
                             uint32_t *bits) {
    for (size_t i = 0; i < n; i++) {
        sf_status_t status = sf_encoder_begin(&device->encoder);
        if (status == SF_OK) {
            status = SF_MORE;
        }
        for (size_t row = 0; row < SF_MODEL_ROWS && status == SF_MORE; row++) {
            const size_t offset = (i * SF_MODEL_ROWS + row) * SF_MODEL_ROW_BYTES;
            status = sf_encoder_push_row(&device->encoder, images + offset, SF_MODEL_ROW_BYTES);
        }
        if (status != SF_OK) {
            return status < SF_OK ? status : SF_ERR_KERNEL;
        }
        const size_t ready = device->encoder.bits.ready;
        memset(payloads + i * SF_MODEL_PAYLOAD_BYTES, 0, SF_MODEL_PAYLOAD_BYTES);
        memcpy(payloads + i * SF_MODEL_PAYLOAD_BYTES, device->payload, ready);
        bits[i] = device->encoder.payload_bits;
    }
    return SF_OK;
}

typedef struct latent_sink {
    int8_t *next;
    int8_t *end;
} latent_sink_t;

static sf_status_t take_latent(void *context, const int8_t *values) {
    latent_sink_t *sink = (latent_sink_t *)context;
    if (sink->next == sink->end) {
        return SF_ERR_KERNEL;
    }
    memcpy(sink->next, values, first_graph()->latent_channels);
    sink->next += first_graph()->latent_channels;
    return SF_OK;
}

sf_status_t sf_native_latents(sf_native_t *device, const int8_t *images, size_t n, int8_t *latents) {
    const sf_graph_t *graph = first_graph();
    const size_t size = (size_t)graph->latent_positions * graph->latent_channels;
    for (size_t i = 0; i < n; i++) {
        latent_sink_t sink = {latents + i * size, latents + (i + 1u) * size};
        sf_status_t status = graph->reset(device->state + sf_model.stages[0].state);
        for (uint16_t row = 0; row < graph->rows && status >= SF_OK; row++) {
            const size_t offset = (i * graph->rows + row) * graph->row_bytes;
            status = graph->push_row(device->state + sf_model.stages[0].state, row, images + offset,
                                     take_latent, &sink);
        }
        if (status < SF_OK || sink.next != sink.end) {
            return status < SF_OK ? status : SF_ERR_KERNEL;
        }
    }
    device->encoder.running = 0; /* the graph's state is no longer the encoder's */
    return SF_OK;
}
