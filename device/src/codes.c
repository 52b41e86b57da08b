/* Codes out: one CODES frame, or CODES_PART frames with a prefix, pilots between the codes of each. */
#include "semflash/crc.h"
#include "sending.h"

uint16_t sf_device_room(const sf_program_t *program, uint16_t pilot_bytes) {
    const uint32_t taken = SF_PREFIX_BYTES((uint32_t)program->n_controls) + pilot_bytes;
    return taken < SF_FRAME_PAYLOAD_MAX ? (uint16_t)(SF_FRAME_PAYLOAD_MAX - taken) : 0u;
}

int sf_device_has_prefix(const sf_device_t *device) {
    const sf_program_t *program = device->encoder->program;
    int varies =
        program->n_controls > 0u || program->payload_bytes > device->fragment_bytes || program->head != NULL;
    for (uint32_t i = 0; i < program->n_regions; i++) {
        varies = varies || program->regions[i].items != SF_ITEMS_EVERY;
    }
    return varies;
}

/* n codes with the pilots of this frame between them. */
static sf_status_t push_codes(const sf_device_t *device, sf_frame_writer_t *writer, sf_pilot_t *pilot,
                              const uint8_t *codes, uint16_t n) {
    const uint16_t pilots = device->pilot_bytes;
    const uint16_t total = (uint16_t)(n + pilots);
    if (pilots == 0u) {
        return sf_frame_push(writer, codes, n);
    }
    sf_status_t status = SF_OK;
    for (uint16_t j = 0; j < pilots && status == SF_OK; j++) {
        const uint8_t known = sf_pilot_next(pilot);
        status = sf_frame_push(writer, &known, 1);
        const size_t piece = (size_t)sf_pilot_position((uint16_t)(j + 1u), pilots, total) -
                             sf_pilot_position(j, pilots, total) - 1u;
        if (status == SF_OK) {
            status = sf_frame_push(writer, codes, piece);
        }
        codes += piece;
    }
    return status;
}

/* Bytes of the prefix, which its CRC-16 covers. */
static sf_status_t push_covered(sf_frame_writer_t *writer, uint16_t *crc, const uint8_t *bytes, size_t n) {
    *crc = sf_crc16_more(*crc, bytes, n);
    return sf_frame_push(writer, bytes, n);
}

static sf_status_t push_prefix(const sf_device_t *device, sf_frame_writer_t *writer, uint8_t flags,
                               uint32_t bits) {
    const sf_encoder_t *encoder = device->encoder;
    const uint8_t controls = encoder->program->n_controls;
    const uint16_t *values = controls > 0u ? sf_encoder_controls(encoder) : NULL;
    uint8_t bytes[SF_PREFIX_AT_VALUES];
    uint16_t crc = writer->header_crc;
    bytes[SF_PREFIX_AT_FLAGS] = flags;
    bytes[SF_PREFIX_AT_COUNT] = controls;
    sf_store_u16(bytes + SF_PREFIX_AT_OFFSET, (uint16_t)encoder->payload_taken);
    sf_store_u32(bytes + SF_PREFIX_AT_BITS, bits);
    sf_status_t status = push_covered(writer, &crc, bytes, sizeof bytes);
    for (uint32_t i = 0; i < controls && status == SF_OK; i++) {
        sf_store_u16(bytes, values[i]);
        status = push_covered(writer, &crc, bytes, 2);
    }
    sf_store_u16(bytes, crc);
    return status == SF_OK ? sf_frame_push(writer, bytes, 2) : status;
}

/* One frame with the next n bytes of the payload. prefix: 0 for CODES. */
static sf_status_t send_frame(sf_device_t *device, uint16_t n, int prefix, uint8_t flags, uint32_t bits) {
    sf_encoder_t *encoder = device->encoder;
    const uint32_t front = prefix ? SF_PREFIX_BYTES((uint32_t)encoder->program->n_controls) : 0u;
    sf_pilot_t pilot;
    sf_pilot_begin(&pilot, encoder->program->bundle_hash, (uint16_t)(device->sent & 0xFFFFu),
                   device->request);
    sf_frame_writer_t writer;
    sf_status_t status = sf_device_begin(device, &writer, prefix ? SF_FRAME_CODES_PART : SF_FRAME_CODES,
                                         device->request, (uint16_t)(front + n + device->pilot_bytes));
    if (status == SF_OK && prefix) {
        status = push_prefix(device, &writer, flags, bits);
    }
    if (status == SF_OK) {
        status = push_codes(device, &writer, &pilot, encoder->payload + encoder->payload_taken, n);
    }
    encoder->payload_taken += n;
    return status == SF_OK ? sf_device_end(device, &writer) : status;
}

SF_NOT_INLINED sf_status_t sf_device_send_codes(sf_device_t *device, int complete) {
    const sf_encoder_t *encoder = device->encoder;
    const uint32_t ready = encoder->bits.ready;
    if (!complete && (device->stream == 0u || ready - encoder->payload_taken < device->stream)) {
        return SF_OK;
    }
    if (device->stream == 0u && encoder->payload_taken == 0u && !sf_device_has_prefix(device)) {
        return send_frame(device, (uint16_t)ready, 0, 0, 0);
    }
    const uint8_t streamed = device->stream > 0u ? SF_PREFIX_STREAMED : 0u;
    sf_status_t status = SF_OK;
    do {
        const uint32_t left = ready - encoder->payload_taken;
        const uint16_t n = (uint16_t)(left < device->fragment_bytes ? left : device->fragment_bytes);
        const uint8_t last = complete && n == left ? SF_PREFIX_LAST : 0u;
        status = send_frame(device, n, 1, (uint8_t)(streamed | last), complete ? encoder->payload_bits : 0u);
    } while (status == SF_OK && encoder->payload_taken < ready);
    return status;
}
