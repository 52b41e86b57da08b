/* HELLO: what the device says about itself, entries of tag, length and value (docs/wire-format.md). */
#include <string.h>

#include "semflash/version.h"
#include "sending.h"

/* An entry at *end, which moves on; value: length bytes to fill. */
static uint8_t *entry(uint8_t **end, uint8_t tag, size_t length) {
    uint8_t *value = *end + 2;
    (*end)[0] = tag;
    (*end)[1] = (uint8_t)length;
    *end = value + length;
    return value;
}

static void put_u8(uint8_t **end, uint8_t tag, uint8_t value) {
    *entry(end, tag, 1) = value;
}

static void put_u16(uint8_t **end, uint8_t tag, uint16_t value) {
    sf_store_u16(entry(end, tag, 2), value);
}

static void put_u32(uint8_t **end, uint8_t tag, uint32_t value) {
    sf_store_u32(entry(end, tag, 4), value);
}

/* Without the zeros behind it. */
static void put_text(uint8_t **end, uint8_t tag, const char *text, size_t most) {
    const char *stop = (const char *)memchr(text, 0, most);
    const size_t length = stop == NULL ? most : (size_t)(stop - text);
    memcpy(entry(end, tag, length), text, length);
}

/* Of the longest payload; behind a head, not all rows of all regions are sent together. */
static uint32_t payload_bits(const sf_program_t *program) {
    if (program->head != NULL) {
        return 8u * (uint32_t)program->payload_bytes;
    }
    uint32_t bits = 0;
    for (uint32_t i = 0; i < program->n_regions; i++) {
        const sf_region_t *region = &program->regions[i];
        bits += (uint32_t)sf_region_bits((uint32_t)region->rows * region->each, region->bits,
                                         (sf_protection_t)region->protection);
    }
    return bits;
}

/* All entries but the list of controls. */
static void put_entries(const sf_device_t *device, uint8_t **end) {
    const sf_program_t *program = device->encoder->program;
    const sf_board_info_t *board = &device->board;
    put_u8(end, SF_HELLO_PROTOCOL, SF_PROTOCOL_VERSION);
    uint8_t *value = entry(end, SF_HELLO_COUNTER, SF_HELLO_COUNTER_BYTES);
    value[0] = (uint8_t)board->counter_kind;
    sf_store_u32(value + 1, board->counter_scale);
    put_u16(end, SF_HELLO_WINDOW, device->window);
    put_u16(end, SF_HELLO_ROWS_PAYLOAD, (uint16_t)(device->decoder.cobs.capacity - SF_FRAME_BYTES(0u)));
    value = entry(end, SF_HELLO_IMAGE, SF_HELLO_IMAGE_BYTES);
    sf_store_u16(value, program->rows);
    sf_store_u16(value + 2, program->row_bytes);
    put_u32(end, SF_HELLO_PAYLOAD, payload_bits(program));
    put_u32(end, SF_HELLO_BUNDLE, program->bundle_hash);
    put_u32(end, SF_HELLO_BUILD, board->build_id);
    put_u32(end, SF_HELLO_CLOCK, board->clock_hz);
    put_u8(end, SF_HELLO_RESET, (uint8_t)board->reset_cause);
    put_text(end, SF_HELLO_BOARD, board->name, sizeof board->name);
    put_text(end, SF_HELLO_ENGINE, program->engine, sizeof program->engine);
    put_u32(end, SF_HELLO_CAPABILITIES,
            board->capabilities | SF_CAN_STREAM | (device->pilot_bytes > 0u ? SF_CAN_PILOTS : 0u) |
                (device->port.uptime_us != NULL ? SF_CAN_TIME : 0u));
    value = entry(end, SF_HELLO_LIBRARY, SF_HELLO_LIBRARY_BYTES);
    value[0] = SF_VERSION_MAJOR;
    value[1] = SF_VERSION_MINOR;
    value[2] = SF_VERSION_PATCH;
    const uint64_t now = sf_device_uptime_us(device);
    value = entry(end, SF_HELLO_UPTIME, SF_HELLO_UPTIME_BYTES);
    sf_store_u32(value, (uint32_t)(now & 0xFFFFFFFFu));
    sf_store_u32(value + 4, (uint32_t)(now >> 32));
    put_u32(end, SF_HELLO_SENT, device->sent);
    put_u16(end, SF_HELLO_PILOTS, device->pilot_bytes);
    put_u16(end, SF_HELLO_FRAGMENT, device->fragment_bytes);
    if (sf_device_has_prefix(device)) {
        put_u8(end, SF_HELLO_PREFIX, SF_PREFIX_FORMAT);
    }
    if (board->id_bytes > 0u) {
        memcpy(entry(end, SF_HELLO_DEVICE, board->id_bytes), board->id, board->id_bytes);
    }
}

SF_NOT_INLINED sf_status_t sf_device_send_hello(sf_device_t *device, uint32_t session) {
    const sf_program_t *program = device->encoder->program;
    uint8_t entries[SF_HELLO_ENTRIES_BYTES];
    uint8_t *end = entries;
    put_entries(device, &end);
    const uint16_t fixed = (uint16_t)(end - entries);
    const uint16_t list = program->n_controls > 0u ? (uint16_t)(2u + program->n_controls) : 0u;
    device->torn = 1; /* whoever asks may have come in the middle of a frame */
    sf_frame_writer_t writer;
    sf_status_t status = sf_device_begin(device, &writer, SF_FRAME_HELLO, session, (uint16_t)(fixed + list));
    if (status == SF_OK) {
        status = sf_frame_push(&writer, entries, fixed);
    }
    if (status == SF_OK && list > 0u) {
        const uint8_t head[2] = {SF_HELLO_CONTROLS, program->n_controls};
        status = sf_frame_push(&writer, head, sizeof head);
    }
    for (uint32_t i = 0; i < program->n_controls && status == SF_OK; i++) {
        status = sf_frame_push(&writer, &program->controls[i].id, 1);
    }
    return status == SF_OK ? sf_device_end(device, &writer) : status;
}
