#include "semflash/cobs.h"

void sf_cobs_encode_begin(sf_cobs_encoder_t *encoder, sf_write_fn write, void *context) {
    encoder->write = write;
    encoder->context = context;
    encoder->fill = 0;
}

/* Write code byte and data of the current block and start the next. */
static sf_status_t flush_block(sf_cobs_encoder_t *encoder) {
    const size_t n = (size_t)encoder->fill + 1u;
    encoder->block[0] = (uint8_t)n;
    encoder->fill = 0;
    return encoder->write(encoder->context, encoder->block, n);
}

sf_status_t sf_cobs_encode_push(sf_cobs_encoder_t *encoder, const uint8_t *bytes, size_t n) {
    for (size_t i = 0; i < n; i++) {
        sf_status_t status = SF_OK;
        /* A full block (code 0xFF) stands for no zero: it is closed only when another byte follows. */
        if (encoder->fill == SF_COBS_BLOCK) {
            status = flush_block(encoder);
        }
        if (status == SF_OK && bytes[i] == 0u) {
            status = flush_block(encoder);
        } else if (status == SF_OK) {
            encoder->fill++;
            encoder->block[encoder->fill] = bytes[i];
        }
        if (status != SF_OK) {
            return status;
        }
    }
    return SF_OK;
}

sf_status_t sf_cobs_encode_end(sf_cobs_encoder_t *encoder) {
    static const uint8_t delimiter = 0;
    const sf_status_t status = flush_block(encoder);
    return status == SF_OK ? encoder->write(encoder->context, &delimiter, 1) : status;
}

void sf_cobs_decode_begin(sf_cobs_decoder_t *decoder, uint8_t *bytes, size_t capacity) {
    decoder->bytes = bytes;
    decoder->capacity = capacity;
    decoder->length = 0;
    decoder->left = 0;
    decoder->code = 0;
}

static void append(sf_cobs_decoder_t *decoder, uint8_t byte) {
    if (decoder->length < decoder->capacity) {
        decoder->bytes[decoder->length] = byte;
        decoder->length++;
    } else {
        decoder->length = decoder->capacity + 1u;
    }
}

sf_status_t sf_cobs_decode_push(sf_cobs_decoder_t *decoder, uint8_t byte) {
    if (byte == 0u) {
        if (decoder->code == 0u) {
            return SF_MORE;
        }
        return decoder->left == 0u ? SF_OK : SF_ERR_COBS;
    }
    if (decoder->left != 0u) {
        decoder->left--;
        append(decoder, byte);
        return SF_MORE;
    }
    /* A block other than a full one ends in a zero, which the frame's end takes away again. */
    if (decoder->code != 0u && decoder->code != SF_COBS_BLOCK + 1u) {
        append(decoder, 0);
    }
    decoder->code = byte;
    decoder->left = (uint8_t)(byte - 1u);
    return SF_MORE;
}
