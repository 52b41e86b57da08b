#include "sending.h"

uint64_t sf_device_uptime_us(const sf_device_t *device) {
    return device->port.uptime_us != NULL ? device->port.uptime_us(device->port.context) : 0u;
}

/* End whatever stands on the line: an empty frame, which receivers ignore. */
static sf_status_t send_delimiter(sf_device_t *device) {
    static const uint8_t delimiter = 0;
    return device->port.write(device->port.context, &delimiter, 1);
}

sf_status_t sf_device_begin(sf_device_t *device, sf_frame_writer_t *writer, sf_frame_type_t type,
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

sf_status_t sf_device_end(sf_device_t *device, sf_frame_writer_t *writer) {
    const sf_status_t status = sf_frame_end(writer);
    device->torn = status != SF_OK;
    return status;
}

sf_status_t sf_device_send(sf_device_t *device, sf_frame_type_t type, uint32_t request,
                           const uint8_t *payload, uint16_t length) {
    sf_frame_writer_t writer;
    sf_status_t status = sf_device_begin(device, &writer, type, request, length);
    if (status == SF_OK) {
        status = sf_frame_push(&writer, payload, length);
    }
    return status == SF_OK ? sf_device_end(device, &writer) : status;
}
