#include "semflash/device.h"

#include <string.h>

#include "semflash/version.h"

/* Answers keep their payloads out of the stack frames under which the encoder runs. */
#if defined(__GNUC__)
#define NOT_INLINED __attribute__((noinline))
#else
#define NOT_INLINED
#endif

#define ROWS_HEADER 4u /* u16 first row, u16 number of rows */

sf_status_t sf_device_init(sf_device_t *device, const sf_device_config_t *config) {
    if (device == NULL || config == NULL || config->encoder == NULL || config->encoder->program == NULL) {
        return SF_ERR_ARGUMENT;
    }
    const sf_program_t *program = config->encoder->program;
    const sf_port_t *port = &config->port;
    if (port->write == NULL || port->ticks == NULL || port->stack_bytes == NULL || port->overruns == NULL ||
        config->window == 0u || config->rows_payload > SF_FRAME_PAYLOAD_MAX ||
        config->rows_payload < ROWS_HEADER + (uint32_t)program->row_bytes ||
        (uint32_t)program->payload_bytes + config->pilot_bytes > SF_FRAME_PAYLOAD_MAX) {
        return SF_ERR_ARGUMENT;
    }
    if (config->receive_bytes < SF_FRAME_BYTES((size_t)config->rows_payload)) {
        return SF_ERR_MEMORY;
    }
    memset(device, 0, sizeof *device);
    device->port = config->port;
    device->board = config->board;
    device->encoder = config->encoder;
    device->rows_payload = config->rows_payload;
    device->window = config->window;
    device->pilot_bytes = config->pilot_bytes;
    return sf_frame_decoder_init(&device->decoder, config->receive_buffer, config->receive_bytes);
}

/* End whatever stands on the line: an empty frame, which receivers ignore. */
static sf_status_t send_delimiter(sf_device_t *device) {
    static const uint8_t delimiter = 0;
    return device->port.write(device->port.context, &delimiter, 1);
}

/* A frame of `length` payload bytes for writer, after a delimiter where half a frame may stand on the line. */
static sf_status_t begin(sf_device_t *device, sf_frame_writer_t *writer, sf_frame_type_t type,
                         uint32_t request, uint16_t length) {
    sf_frame_t frame = {0};
    frame.type = (uint8_t)type;
    frame.sequence = (uint16_t)(device->sent & 0xFFFFu);
    frame.bundle = device->encoder->program->bundle_hash;
    frame.request = request;
    frame.length = length;
    device->sent++;
    const sf_status_t status = device->torn != 0u ? send_delimiter(device) : SF_OK;
    device->torn = 1; /* until the frame has ended */
    return status == SF_OK
               ? sf_frame_begin(writer, &frame, &device->cobs, device->port.write, device->port.context)
               : status;
}

static sf_status_t end(sf_device_t *device, sf_frame_writer_t *writer) {
    const sf_status_t status = sf_frame_end(writer);
    device->torn = status != SF_OK;
    return status;
}

static sf_status_t send(sf_device_t *device, sf_frame_type_t type, uint32_t request, const uint8_t *payload,
                        uint16_t length) {
    sf_frame_writer_t writer;
    sf_status_t status = begin(device, &writer, type, request, length);
    if (status == SF_OK) {
        status = sf_frame_push(&writer, payload, length);
    }
    return status == SF_OK ? end(device, &writer) : status;
}

static uint64_t uptime_us(const sf_device_t *device) {
    return device->port.uptime_us != NULL ? device->port.uptime_us(device->port.context) : 0u;
}

NOT_INLINED static sf_status_t send_hello(sf_device_t *device, uint32_t session) {
    const sf_program_t *program = device->encoder->program;
    const sf_board_info_t *board = &device->board;
    uint8_t hello[SF_HELLO_BYTES] = {0};
    hello[0] = SF_PROTOCOL_VERSION;
    hello[1] = (uint8_t)board->counter_kind;
    sf_store_u16(hello + 2, device->window);
    sf_store_u16(hello + 4, device->rows_payload);
    sf_store_u16(hello + 6, program->rows);
    sf_store_u16(hello + 8, program->row_bytes);
    sf_store_u16(hello + 10, program->payload_bytes);
    sf_store_u32(hello + 12, program->bundle_hash);
    sf_store_u32(hello + 16, board->build_id);
    sf_store_u32(hello + 20, board->clock_hz);
    sf_store_u32(hello + 24, board->counter_scale);
    sf_store_u32(hello + 28, (uint32_t)board->reset_cause);
    memcpy(hello + 32, board->name, SF_BOARD_NAME_BYTES);
    memcpy(hello + 56, program->engine, sizeof program->engine);
    const uint64_t now = uptime_us(device);
    sf_store_u32(hello + 72, board->capabilities | (device->pilot_bytes > 0u ? SF_CAN_PILOTS : 0u) |
                                 (device->port.uptime_us != NULL ? SF_CAN_TIME : 0u));
    hello[76] = SF_VERSION_MAJOR;
    hello[77] = SF_VERSION_MINOR;
    hello[78] = SF_VERSION_PATCH;
    sf_store_u32(hello + 80, (uint32_t)(now & 0xFFFFFFFFu));
    sf_store_u32(hello + 84, (uint32_t)(now >> 32));
    sf_store_u32(hello + 88, device->sent);
    sf_store_u16(hello + 92, device->pilot_bytes);
    device->torn = 1; /* whoever asks may have come in the middle of a frame */
    return send(device, SF_FRAME_HELLO, session, hello, sizeof hello);
}

/* What is known of the last crash, if there was one. */
NOT_INLINED static sf_status_t send_fault(sf_device_t *device) {
    uint8_t report[SF_FAULT_BYTES];
    if (device->port.fault == NULL || device->port.fault(device->port.context, report) == 0u) {
        return SF_OK;
    }
    return send(device, SF_FRAME_FAULT, 0, report, sizeof report);
}

NOT_INLINED static sf_status_t send_link_stats(sf_device_t *device) {
    const sf_link_stats_t *stats = &device->stats;
    const uint32_t values[12] = {
        stats->ok,
        stats->broken_cobs,
        stats->bad_header_crc,
        stats->unknown_version_or_type,
        stats->bad_length,
        stats->bad_payload_crc,
        stats->foreign_bundle,
        device->port.overruns(device->port.context),
        device->sent,
        stats->lost,
        stats->duplicates,
        stats->reordered,
    };
    uint8_t payload[sizeof values];
    for (size_t i = 0; i < 12u; i++) {
        sf_store_u32(payload + 4u * i, values[i]);
    }
    return send(device, SF_FRAME_LINK_STATS, 0, payload, sizeof payload);
}

/* The ROWS frame with number `sequence` has left the queue. */
NOT_INLINED static sf_status_t send_credit(sf_device_t *device, uint16_t sequence) {
    uint8_t payload[6];
    device->credit++;
    sf_store_u32(payload, device->credit);
    sf_store_u16(payload + 4, sequence);
    return send(device, SF_FRAME_CREDIT, 0, payload, sizeof payload);
}

/* The image of `request` is lost; said once per image. */
NOT_INLINED static sf_status_t refuse(sf_device_t *device, uint32_t request, sf_refusal_t reason) {
    if (device->image == SF_IMAGE_LOST && device->request == request) {
        return SF_OK;
    }
    device->image = SF_IMAGE_LOST;
    device->request = request;
    const uint8_t payload = (uint8_t)reason;
    return send(device, SF_FRAME_REFUSED, request, &payload, 1);
}

/* CODES: the codes with pilots between them. */
static sf_status_t send_codes(sf_device_t *device) {
    const uint8_t *codes = device->encoder->payload;
    const uint16_t code_bytes = (uint16_t)device->encoder->bits.ready;
    const uint16_t n = device->pilot_bytes;
    const uint16_t total = (uint16_t)(code_bytes + n);
    sf_pilot_t pilot;
    sf_pilot_begin(&pilot, device->encoder->program->bundle_hash, (uint16_t)(device->sent & 0xFFFFu),
                   device->request);
    sf_frame_writer_t writer;
    sf_status_t status = begin(device, &writer, SF_FRAME_CODES, device->request, total);
    for (uint16_t j = 0; j < n && status == SF_OK; j++) {
        const uint8_t known = sf_pilot_next(&pilot);
        status = sf_frame_push(&writer, &known, 1);
        const size_t piece =
            (size_t)sf_pilot_position((uint16_t)(j + 1u), n, total) - sf_pilot_position(j, n, total) - 1u;
        if (status == SF_OK) {
            status = sf_frame_push(&writer, codes, piece);
        }
        codes += piece;
    }
    if (status == SF_OK && n == 0u) {
        status = sf_frame_push(&writer, codes, code_bytes);
    }
    return status == SF_OK ? end(device, &writer) : status;
}

/* CODES, then IMAGE_STATS of the image just encoded. */
NOT_INLINED static sf_status_t send_image(sf_device_t *device) {
    uint8_t stats[12];
    sf_store_u32(stats, device->ticks);
    sf_store_u32(stats + 4, device->port.stack_bytes(device->port.context));
    sf_store_u32(stats + 8, (uint32_t)(uptime_us(device) & 0xFFFFFFFFu));
    const sf_status_t status = send_codes(device);
    return status == SF_OK ? send(device, SF_FRAME_IMAGE_STATS, device->request, stats, sizeof stats)
                           : status;
}

static sf_status_t begin_image(sf_device_t *device, uint32_t request) {
    device->image = SF_IMAGE_ROWS;
    device->request = request;
    device->next_row = 0;
    device->ticks = 0;
    const uint32_t start = device->port.ticks(device->port.context);
    const sf_status_t status = sf_encoder_begin(device->encoder);
    device->ticks = device->port.ticks(device->port.context) - start;
    return status;
}

/* Encode rows of the current image; adds the time it takes. SF_OK: image complete, SF_MORE: rows missing. */
static sf_status_t encode_rows(sf_device_t *device, const int8_t *rows, uint16_t n) {
    const uint16_t row_bytes = device->encoder->program->row_bytes;
    const uint32_t start = device->port.ticks(device->port.context);
    sf_status_t status = SF_MORE;
    for (uint16_t i = 0; i < n && status == SF_MORE; i++) {
        status = sf_encoder_push_row(device->encoder, rows + (size_t)i * row_bytes, row_bytes);
    }
    device->ticks += device->port.ticks(device->port.context) - start;
    device->next_row = (uint16_t)(device->next_row + n);
    return status;
}

/* Rows of an undamaged frame of our bundle. */
static sf_status_t take_rows(sf_device_t *device, const sf_frame_t *frame) {
    const sf_program_t *program = device->encoder->program;
    const uint16_t first = frame->length >= ROWS_HEADER ? sf_load_u16(frame->payload) : 0u;
    const uint16_t n = frame->length >= ROWS_HEADER ? sf_load_u16(frame->payload + 2) : 0u;
    if (n == 0u || (uint32_t)first + n > program->rows ||
        frame->length != ROWS_HEADER + (uint32_t)n * program->row_bytes) {
        return refuse(device, frame->request, SF_REFUSED_RANGE);
    }
    sf_status_t status = SF_OK;
    if (first == 0u) {
        status = begin_image(device, frame->request);
    } else if (device->image != SF_IMAGE_ROWS || frame->request != device->request ||
               first != device->next_row) {
        return refuse(device, frame->request, SF_REFUSED_ORDER);
    }
    if (status == SF_OK) {
        status = encode_rows(device, (const int8_t *)(frame->payload + ROWS_HEADER), n);
    }
    if (status == SF_MORE) {
        return SF_OK;
    }
    if (status != SF_OK) {
        return refuse(device, frame->request, SF_REFUSED_ENCODER);
    }
    device->image = SF_IMAGE_NONE;
    return send_image(device);
}

static sf_status_t on_rows(sf_device_t *device, const sf_frame_t *frame) {
    /* The frame has left the receive queue, so its place is free before the encoder runs. */
    const sf_status_t status = send_credit(device, frame->sequence);
    if (status != SF_OK) {
        return status;
    }
    if (frame->bundle != device->encoder->program->bundle_hash) {
        device->stats.foreign_bundle++;
        return refuse(device, frame->request, SF_REFUSED_BUNDLE);
    }
    if (frame->damaged != 0u) {
        device->stats.bad_payload_crc++;
        return refuse(device, frame->request, SF_REFUSED_DAMAGED);
    }
    device->stats.ok++;
    return take_rows(device, frame);
}

/* Note the number of an undamaged frame: of others, the header's CRC-16 alone vouches for it, which is not enough. */
static void note_sequence(sf_device_t *device, const sf_frame_t *frame) {
    sf_sequence_t *heard = &device->heard;
    sf_link_stats_t *stats = &device->stats;
    const uint16_t gap = (uint16_t)(frame->sequence - heard->next);
    if (heard->known == 0u) {
        heard->known = 1;
        heard->window = 1;
        heard->next = (uint16_t)(frame->sequence + 1u);
    } else if (gap < 0x8000u) {
        stats->lost += gap;
        heard->window = gap < 31u ? heard->window << (gap + 1u) | 1u : 1u;
        heard->next = (uint16_t)(frame->sequence + 1u);
    } else {
        const uint16_t back = (uint16_t)(0xFFFFu - gap); /* 0: the latest number */
        const uint32_t bit = back < 32u ? 1u << back : 0u;
        if (bit == 0u || (heard->window & bit) != 0u) {
            stats->duplicates++;
        } else {
            stats->reordered++;
            stats->lost -= stats->lost > 0u;
            heard->window |= bit;
        }
    }
}

static sf_status_t on_frame(sf_device_t *device, const sf_frame_t *frame) {
    if (frame->type == SF_FRAME_HELLO_REQUEST && frame->damaged == 0u &&
        frame->request != device->heard.session) {
        device->heard.session = frame->request; /* another host: its numbers start where they like */
        device->heard.known = 0;
    }
    if (frame->damaged == 0u) {
        note_sequence(device, frame);
    }
    if (frame->type == SF_FRAME_ROWS) {
        return on_rows(device, frame);
    }
    if (frame->type != SF_FRAME_HELLO_REQUEST && frame->type != SF_FRAME_STATS_REQUEST) {
        device->stats.unknown_version_or_type++; /* a frame only devices send */
        return SF_OK;
    }
    if (frame->damaged != 0u) {
        device->stats.bad_payload_crc++;
        return SF_OK;
    }
    if (frame->length != 0u) {
        device->stats.bad_length++;
        return SF_OK;
    }
    device->stats.ok++;
    if (frame->type == SF_FRAME_STATS_REQUEST) {
        return send_link_stats(device);
    }
    device->image = SF_IMAGE_NONE;
    device->credit = 0;
    const sf_status_t status = send_hello(device, frame->request);
    return status == SF_OK ? send_fault(device) : status;
}

static void count_dropped(sf_link_stats_t *stats, sf_status_t status) {
    switch (status) {
    case SF_ERR_COBS:
        stats->broken_cobs++;
        break;
    case SF_ERR_HEADER:
        stats->bad_header_crc++;
        break;
    case SF_ERR_VERSION:
        stats->unknown_version_or_type++;
        break;
    default:
        stats->bad_length++;
        break;
    }
}

sf_status_t sf_device_receive(sf_device_t *device, const uint8_t *bytes, size_t n) {
    if (device == NULL || device->encoder == NULL || (bytes == NULL && n > 0u)) {
        return SF_ERR_ARGUMENT;
    }
    for (size_t i = 0; i < n; i++) {
        sf_frame_t frame = {0};
        sf_status_t status = sf_frame_decoder_push(&device->decoder, bytes[i], &frame);
        if (status == SF_MORE) {
            continue;
        }
        if (status != SF_OK) {
            count_dropped(&device->stats, status);
            continue;
        }
        status = on_frame(device, &frame);
        if (status != SF_OK) {
            return status;
        }
    }
    return SF_OK;
}

sf_status_t sf_device_capture(sf_device_t *device, const sf_source_t *source, uint32_t request, int8_t *row,
                              size_t row_bytes) {
    if (device == NULL || device->encoder == NULL || source == NULL || source->next_row == NULL ||
        row == NULL) {
        return SF_ERR_ARGUMENT;
    }
    const sf_program_t *program = device->encoder->program;
    if (row_bytes < program->row_bytes) {
        return SF_ERR_MEMORY;
    }
    sf_status_t status = begin_image(device, request);
    if (status == SF_OK) {
        status = SF_MORE;
    }
    for (uint16_t i = 0; i < program->rows && status == SF_MORE; i++) {
        status = source->next_row(source->context, i, row, program->row_bytes);
        if (status == SF_OK) {
            status = encode_rows(device, row, 1);
        }
    }
    if (status != SF_OK) {
        const sf_status_t sent = refuse(device, request, SF_REFUSED_ENCODER);
        return sent == SF_OK ? status : sent;
    }
    device->image = SF_IMAGE_NONE;
    return send_image(device);
}
