/* Where image rows come from when no host feeds them: a user's own sensor.
 *
 * Implement next_row for the sensor and hand the source to sf_device_capture() (semflash/device.h):
 * the device then encodes an image of its own and sends CODES and IMAGE_STATS for it, as for a host-fed one.
 * docs/device.md shows a source for a line camera.
 */
#ifndef SEMFLASH_SOURCE_H
#define SEMFLASH_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "semflash/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sf_source {
    void *context;
    /* Write row number `row` (0, 1, ...) as row_bytes int8 values (pixel - 128, channels innermost) and return
     * SF_OK; any error ends the image. May block until the sensor has the row. */
    sf_status_t (*next_row)(void *context, uint16_t row, int8_t *values, size_t row_bytes);
} sf_source_t;

#ifdef __cplusplus
}
#endif

#endif
