/* Pictures of the board's own source for the host, row by row as the source gives them (CAPTURE, SOURCE_ROWS). */
#include "sending.h"

SF_NOT_INLINED static sf_status_t send_row(sf_device_t *device, uint32_t request, uint16_t number,
                                           const int8_t *row) {
    const uint16_t row_bytes = device->encoder->program->row_bytes;
    uint8_t head[SF_ROWS_BYTES];
    sf_store_u16(head, number);
    sf_store_u16(head + 2, 1);
    sf_frame_writer_t writer;
    sf_status_t status = sf_device_begin(device, &writer, SF_FRAME_SOURCE_ROWS, request,
                                         (uint16_t)(SF_ROWS_BYTES + row_bytes));
    if (status == SF_OK) {
        status = sf_frame_push(&writer, head, sizeof head);
    }
    if (status == SF_OK) {
        status = sf_frame_push(&writer, (const uint8_t *)row, row_bytes);
    }
    return status == SF_OK ? sf_device_end(device, &writer) : status;
}

/* A source that fails is told, and is not an error of the line. */
static sf_status_t show(sf_device_t *device, uint32_t request) {
    const sf_program_t *program = device->encoder->program;
    const sf_shown_t *shown = device->shown;
    for (uint16_t i = 0; i < program->rows; i++) {
        if (shown->source->next_row(shown->source->context, i, shown->row, program->row_bytes) != SF_OK) {
            const uint8_t reason = (uint8_t)SF_REFUSED_SOURCE;
            return sf_device_send(device, SF_FRAME_REFUSED, request, &reason, 1);
        }
        const sf_status_t status = send_row(device, request, i, shown->row);
        if (status != SF_OK) {
            return status;
        }
    }
    return SF_OK;
}

sf_status_t sf_device_show(sf_device_t *device, sf_shown_t *shown, const sf_source_t *source, int8_t *row,
                           size_t row_bytes) {
    if (device == NULL || device->encoder == NULL || shown == NULL || source == NULL ||
        source->next_row == NULL || row == NULL) {
        return SF_ERR_ARGUMENT;
    }
    if (row_bytes < device->encoder->program->row_bytes) {
        return SF_ERR_MEMORY;
    }
    shown->show = show;
    shown->source = source;
    shown->row = row;
    device->shown = shown;
    device->board.capabilities |= SF_CAN_CAPTURE;
    return SF_OK;
}
