#include "semflash/frame.h"

#include "semflash/crc.h"

uint16_t sf_load_u16(const uint8_t *bytes) {
    return (uint16_t)(bytes[0] | (uint32_t)bytes[1] << 8);
}

uint32_t sf_load_u32(const uint8_t *bytes) {
    return (uint32_t)sf_load_u16(bytes) | (uint32_t)sf_load_u16(bytes + 2) << 16;
}

void sf_store_u16(uint8_t *bytes, uint16_t value) {
    bytes[0] = (uint8_t)(value & 0xFFu);
    bytes[1] = (uint8_t)(value >> 8);
}

void sf_store_u32(uint8_t *bytes, uint32_t value) {
    sf_store_u16(bytes, (uint16_t)(value & 0xFFFFu));
    sf_store_u16(bytes + 2, (uint16_t)(value >> 16));
}

sf_status_t sf_frame_decoder_init(sf_frame_decoder_t *decoder, uint8_t *buffer, size_t capacity) {
    if (decoder == NULL || buffer == NULL) {
        return SF_ERR_ARGUMENT;
    }
    if (capacity < SF_FRAME_BYTES(0u)) {
        return SF_ERR_MEMORY;
    }
    sf_cobs_decode_begin(&decoder->cobs, buffer, capacity);
    decoder->complete = 0;
    return SF_OK;
}

static uint8_t known_type(uint8_t type) {
    return (type >= SF_FRAME_FIRST && type <= SF_FRAME_LAST) ||
           (type >= SF_FRAME_DEVICE_FIRST && type <= SF_FRAME_DEVICE_LAST);
}

/* Check a decoded frame of `length` bytes (capacity + 1: too long) and describe it. */
static sf_status_t parse(const uint8_t *bytes, size_t length, size_t capacity, sf_frame_t *frame) {
    if (length < SF_FRAME_BYTES(0u)) {
        return SF_ERR_LENGTH;
    }
    if (sf_crc16(bytes, SF_AT_HEADER_CRC) != sf_load_u16(bytes + SF_AT_HEADER_CRC)) {
        return SF_ERR_HEADER;
    }
    if (bytes[SF_AT_VERSION] != SF_PROTOCOL_VERSION || !known_type(bytes[SF_AT_TYPE])) {
        return SF_ERR_VERSION;
    }
    const uint16_t payload_bytes = sf_load_u16(bytes + SF_AT_LENGTH);
    if (length > capacity || payload_bytes > SF_FRAME_PAYLOAD_MAX ||
        length != SF_FRAME_BYTES((size_t)payload_bytes)) {
        return SF_ERR_LENGTH;
    }
    frame->type = bytes[SF_AT_TYPE];
    frame->sequence = sf_load_u16(bytes + SF_AT_SEQUENCE);
    frame->bundle = sf_load_u32(bytes + SF_AT_BUNDLE);
    frame->request = sf_load_u32(bytes + SF_AT_REQUEST);
    frame->length = payload_bytes;
    frame->payload = bytes + SF_FRAME_HEADER;
    frame->damaged = sf_crc32(bytes, SF_FRAME_HEADER + (size_t)payload_bytes) !=
                     sf_load_u32(frame->payload + payload_bytes);
    return SF_OK;
}

sf_status_t sf_frame_decoder_push(sf_frame_decoder_t *decoder, uint8_t byte, sf_frame_t *frame) {
    sf_cobs_decoder_t *cobs = &decoder->cobs;
    if (decoder->complete != 0u) {
        sf_cobs_decode_begin(cobs, cobs->bytes, cobs->capacity);
        decoder->complete = 0;
    }
    const sf_status_t status = sf_cobs_decode_push(cobs, byte);
    if (status == SF_MORE) {
        return SF_MORE;
    }
    decoder->complete = 1;
    return status == SF_OK ? parse(cobs->bytes, cobs->length, cobs->capacity, frame) : status;
}

sf_status_t sf_frame_begin(sf_frame_writer_t *writer, const sf_frame_t *frame, sf_cobs_encoder_t *scratch,
                           sf_write_fn write, void *context) {
    if (frame->length > SF_FRAME_PAYLOAD_MAX) {
        return SF_ERR_ARGUMENT;
    }
    uint8_t header[SF_FRAME_HEADER];
    header[SF_AT_VERSION] = SF_PROTOCOL_VERSION;
    header[SF_AT_TYPE] = frame->type;
    sf_store_u16(header + SF_AT_SEQUENCE, frame->sequence);
    sf_store_u32(header + SF_AT_BUNDLE, frame->bundle);
    sf_store_u32(header + SF_AT_REQUEST, frame->request);
    sf_store_u16(header + SF_AT_LENGTH, frame->length);
    writer->header_crc = sf_crc16(header, SF_AT_HEADER_CRC);
    sf_store_u16(header + SF_AT_HEADER_CRC, writer->header_crc);
    writer->cobs = scratch;
    writer->crc = sf_crc32(header, sizeof header);
    writer->left = frame->length;
    sf_cobs_encode_begin(scratch, write, context);
    return sf_cobs_encode_push(scratch, header, sizeof header);
}

sf_status_t sf_frame_push(sf_frame_writer_t *writer, const uint8_t *bytes, size_t n) {
    if (n > writer->left || (n > 0u && bytes == NULL)) {
        return SF_ERR_ARGUMENT;
    }
    writer->left = (uint16_t)(writer->left - n);
    writer->crc = sf_crc32_more(writer->crc, bytes, n);
    return sf_cobs_encode_push(writer->cobs, bytes, n);
}

sf_status_t sf_frame_end(sf_frame_writer_t *writer) {
    if (writer->left != 0u) {
        return SF_ERR_ARGUMENT;
    }
    uint8_t trailer[SF_FRAME_TRAILER];
    sf_store_u32(trailer, writer->crc);
    const sf_status_t status = sf_cobs_encode_push(writer->cobs, trailer, sizeof trailer);
    return status == SF_OK ? sf_cobs_encode_end(writer->cobs) : status;
}

sf_status_t sf_frame_write(const sf_frame_t *frame, sf_cobs_encoder_t *scratch, sf_write_fn write,
                           void *context) {
    if (frame->length > 0u && frame->payload == NULL) {
        return SF_ERR_ARGUMENT;
    }
    sf_frame_writer_t writer;
    sf_status_t status = sf_frame_begin(&writer, frame, scratch, write, context);
    if (status == SF_OK) {
        status = sf_frame_push(&writer, frame->payload, frame->length);
    }
    return status == SF_OK ? sf_frame_end(&writer) : status;
}
