#include "semflash/device.h"

#include <string.h>

#include "semflash/controls.h"
#include "sending.h"

sf_status_t sf_device_init(sf_device_t *device, const sf_device_config_t *config) {
    if (device == NULL || config == NULL || config->encoder == NULL || config->encoder->program == NULL) {
        return SF_ERR_ARGUMENT;
    }
    const sf_program_t *program = config->encoder->program;
    const sf_port_t *port = &config->port;
    if (port->write == NULL || port->ticks == NULL || port->stack_bytes == NULL || port->overruns == NULL ||
        config->window == 0u || config->rows_payload > SF_FRAME_PAYLOAD_MAX ||
        config->rows_payload < SF_ROWS_BYTES + (uint32_t)program->row_bytes ||
        sf_device_room(program, config->pilot_bytes) == 0u ||
        config->board.id_bytes > SF_HELLO_DEVICE_BYTES ||
        (config->board.id_bytes > 0u && config->board.id == NULL)) {
        return SF_ERR_ARGUMENT;
    }
    if (config->receive_bytes < SF_FRAME_BYTES((size_t)config->rows_payload)) {
        return SF_ERR_MEMORY;
    }
    memset(device, 0, sizeof *device);
    device->port = config->port;
    device->board = config->board;
    device->encoder = config->encoder;
    device->window = config->window;
    device->pilot_bytes = config->pilot_bytes;
    const uint16_t room = sf_device_room(program, config->pilot_bytes);
    const uint16_t wanted = config->fragment_bytes;
    device->fragment_bytes = wanted > 0u && wanted < room ? wanted : room;
    return sf_frame_decoder_init(&device->decoder, config->receive_buffer,
                                 SF_FRAME_BYTES((size_t)config->rows_payload));
}

/* What is known of the last crash, if there was one. */
SF_NOT_INLINED static sf_status_t send_fault(sf_device_t *device) {
    uint8_t report[SF_FAULT_BYTES];
    if (device->port.fault == NULL || device->port.fault(device->port.context, report) == 0u) {
        return SF_OK;
    }
    return sf_device_send(device, SF_FRAME_FAULT, 0, report, sizeof report);
}

SF_NOT_INLINED static sf_status_t send_link_stats(sf_device_t *device) {
    const sf_link_stats_t *stats = &device->stats;
    uint32_t values[SF_LINK_STATS_COUNT];
    values[SF_LINK_STATS_OK] = stats->ok;
    values[SF_LINK_STATS_BROKEN_COBS] = stats->broken_cobs;
    values[SF_LINK_STATS_BAD_HEADER_CRC] = stats->bad_header_crc;
    values[SF_LINK_STATS_UNKNOWN_VERSION_OR_TYPE] = stats->unknown_version_or_type;
    values[SF_LINK_STATS_BAD_LENGTH] = stats->bad_length;
    values[SF_LINK_STATS_BAD_PAYLOAD_CRC] = stats->bad_payload_crc;
    values[SF_LINK_STATS_FOREIGN_BUNDLE] = stats->foreign_bundle;
    values[SF_LINK_STATS_OVERRUNS] = device->port.overruns(device->port.context);
    values[SF_LINK_STATS_SENT] = device->sent;
    values[SF_LINK_STATS_LOST] = stats->lost;
    values[SF_LINK_STATS_DUPLICATES] = stats->duplicates;
    values[SF_LINK_STATS_REORDERED] = stats->reordered;
    uint8_t payload[sizeof values];
    for (size_t i = 0; i < SF_LINK_STATS_COUNT; i++) {
        sf_store_u32(payload + 4u * i, values[i]);
    }
    return sf_device_send(device, SF_FRAME_LINK_STATS, 0, payload, sizeof payload);
}

/* The ROWS or CONTROL frame with number `sequence` has left the queue. */
SF_NOT_INLINED static sf_status_t send_credit(sf_device_t *device, uint16_t sequence) {
    uint8_t payload[SF_CREDIT_BYTES];
    device->credit++;
    sf_store_u32(payload, device->credit);
    sf_store_u16(payload + 4, sequence);
    return sf_device_send(device, SF_FRAME_CREDIT, 0, payload, sizeof payload);
}

SF_NOT_INLINED static sf_status_t send_refused(sf_device_t *device, uint32_t request, sf_refusal_t reason) {
    const uint8_t payload = (uint8_t)reason;
    return sf_device_send(device, SF_FRAME_REFUSED, request, &payload, 1);
}

/* The image of `request` is lost; said once per image. */
SF_NOT_INLINED static sf_status_t refuse(sf_device_t *device, uint32_t request, sf_refusal_t reason) {
    if (device->image == SF_IMAGE_LOST && device->request == request) {
        return SF_OK;
    }
    device->image = SF_IMAGE_LOST;
    device->request = request;
    return send_refused(device, request, reason);
}

/* What codes are left, then IMAGE_STATS of the image just encoded. */
SF_NOT_INLINED static sf_status_t send_image(sf_device_t *device) {
    uint8_t stats[SF_IMAGE_STATS_BYTES];
    sf_store_u32(stats, device->ticks);
    sf_store_u32(stats + 4, device->port.stack_bytes(device->port.context));
    sf_store_u32(stats + 8, (uint32_t)(sf_device_uptime_us(device) & 0xFFFFFFFFu));
    const sf_status_t status = sf_device_send_codes(device, 1);
    return status == SF_OK
               ? sf_device_send(device, SF_FRAME_IMAGE_STATS, device->request, stats, sizeof stats)
               : status;
}

static sf_status_t begin_image(sf_device_t *device, uint32_t request) {
    device->image = SF_IMAGE_ROWS;
    device->request = request;
    device->next_row = 0;
    device->ticks = 0;
    sf_controls_begin(device->encoder, request);
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
    const uint16_t first = frame->length >= SF_ROWS_BYTES ? sf_load_u16(frame->payload) : 0u;
    const uint16_t n = frame->length >= SF_ROWS_BYTES ? sf_load_u16(frame->payload + 2) : 0u;
    if (n == 0u || (uint32_t)first + n > program->rows ||
        frame->length != SF_ROWS_BYTES + (uint32_t)n * program->row_bytes) {
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
        status = encode_rows(device, (const int8_t *)(frame->payload + SF_ROWS_BYTES), n);
    }
    if (status == SF_MORE) {
        return sf_device_send_codes(device, 0);
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

/* Obey a CONTROL frame as a whole or not at all. What becomes of the image that is coming in is not its affair. */
SF_NOT_INLINED static sf_status_t on_control(sf_device_t *device, const sf_frame_t *frame) {
    sf_status_t status = send_credit(device, frame->sequence);
    if (status != SF_OK) {
        return status;
    }
    uint32_t refusal = 0;
    if (frame->bundle != device->encoder->program->bundle_hash) {
        device->stats.foreign_bundle++;
        refusal = SF_REFUSED_BUNDLE;
    } else if (frame->damaged != 0u) {
        device->stats.bad_payload_crc++;
        refusal = SF_REFUSED_DAMAGED;
    } else {
        device->stats.ok++;
        refusal = sf_device_take_control(device->encoder, &device->stream, frame->request, frame->payload,
                                         frame->length);
    }
    return refusal == 0u ? SF_OK : send_refused(device, frame->request, (sf_refusal_t)refusal);
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
    if (frame->type == SF_FRAME_CONTROL) {
        return on_control(device, frame);
    }
    const int captures = frame->type == SF_FRAME_CAPTURE && device->shown != NULL;
    if (frame->type != SF_FRAME_HELLO_REQUEST && frame->type != SF_FRAME_STATS_REQUEST && !captures) {
        device->stats.unknown_version_or_type++; /* a frame only devices send, or what this one does not do */
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
    if (captures && frame->bundle != device->encoder->program->bundle_hash) {
        device->stats.foreign_bundle++;
        return send_refused(device, frame->request, SF_REFUSED_BUNDLE);
    }
    device->stats.ok++;
    if (frame->type == SF_FRAME_STATS_REQUEST) {
        return send_link_stats(device);
    }
    if (captures) {
        return device->shown->show(device, frame->request);
    }
    device->image = SF_IMAGE_NONE;
    device->credit = 0;
    device->stream = 0;
    sf_controls_reset(device->encoder);
    const sf_status_t status = sf_device_send_hello(device, frame->request);
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
        if (status == SF_MORE) {
            const sf_status_t sent = sf_device_send_codes(device, 0);
            status = sent == SF_OK ? SF_MORE : sent;
        }
    }
    if (status != SF_OK) {
        const sf_status_t sent = refuse(device, request, SF_REFUSED_ENCODER);
        return sent == SF_OK ? status : sent;
    }
    device->image = SF_IMAGE_NONE;
    return send_image(device);
}
