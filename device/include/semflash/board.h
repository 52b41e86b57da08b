/* What app/main.c asks of a bare-metal port (device/port/<family>/). */
#ifndef SEMFLASH_BOARD_H
#define SEMFLASH_BOARD_H

#include <stddef.h>
#include <stdint.h>

#include "semflash/device.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Start clock, serial port and counter. queue: receive queue for the interrupt handler, lent for ever; it must
 * hold `window` ROWS frames in their longest form on the wire. Fills port and info. */
void sf_board_init(uint8_t *queue, size_t queue_bytes, sf_port_t *port, sf_board_info_t *info);

/* Take received bytes; sleeps until there is at least one. Returns 1..capacity. */
size_t sf_board_read(uint8_t *bytes, size_t capacity);

#ifdef __cplusplus
}
#endif

#endif
