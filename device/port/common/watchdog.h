/* The independent watchdog of the STM32 (RM0390 section 20, RM0351, RM0433): resets a firmware that hangs.
 *
 * On with -DSF_PORT_WATCHDOG_MS=2000..32000. Its own oscillator is coarse: the time may be half or twice as long on
 * some parts. Once on, only a reset ends it. It is fed where the firmware asks for bytes, sends, and times rows.
 */
#ifndef SEMFLASH_PORT_WATCHDOG_H
#define SEMFLASH_PORT_WATCHDOG_H

#include <stdint.h>

#ifndef SF_PORT_WATCHDOG_MS
#define SF_PORT_WATCHDOG_MS 0 /* off */
#endif
#ifndef SF_PORT_WATCHDOG_BASE
#define SF_PORT_WATCHDOG_BASE 0x40003000u /* F4, L4; H7: 0x58004800 */
#endif

#if SF_PORT_WATCHDOG_MS
_Static_assert(SF_PORT_WATCHDOG_MS >= 2000 && SF_PORT_WATCHDOG_MS <= 32000,
               "SF_PORT_WATCHDOG_MS is 0 (off) or 2000 to 32000");

#define SF_IWDG(offset) (*(volatile uint32_t *)(uintptr_t)(SF_PORT_WATCHDOG_BASE + (offset)))

static inline void sf_watchdog_feed(void) {
    SF_IWDG(0u) = 0xAAAAu;
}

static inline void sf_watchdog_start(void) {
    SF_IWDG(0u) = 0xCCCCu;                     /* on; starts the 32 kHz oscillator */
    SF_IWDG(0u) = 0x5555u;                     /* registers may be written */
    SF_IWDG(4u) = 6u;                          /* 32 kHz / 256: 8 ms a tick */
    SF_IWDG(8u) = SF_PORT_WATCHDOG_MS / 8 - 1; /* reload */
    for (uint32_t i = 0; i < 1000000u && SF_IWDG(12u) != 0u; i++) {
    }
    sf_watchdog_feed();
}
#else
static inline void sf_watchdog_feed(void) {}
static inline void sf_watchdog_start(void) {}
#endif

#endif
