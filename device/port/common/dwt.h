/* The cycle counter of Cortex-M3, M4, M7 and M33 (Arm DDI 0403E, C1.8). It wraps every 23.9 s at 180 MHz. */
#ifndef SEMFLASH_PORT_DWT_H
#define SEMFLASH_PORT_DWT_H

#include <stdint.h>

#define SF_DWT(offset)    (*(volatile uint32_t *)(uintptr_t)(0xE0001000u + (offset)))
#define SF_DWT_CYCCNT     SF_DWT(4u)
#define SF_DWT_LAR        SF_DWT(0xFB0u)
#define SF_DWT_UNLOCK     0xC5ACCE55u
#define SF_DEMCR          (*(volatile uint32_t *)(uintptr_t)0xE000EDFCu)
#define SF_DEMCR_TRCENA   (1u << 24)
#define SF_DWT_CYCCNTENA  1u
#define SF_DWT_TEST_LOOPS 100u

/* Start it. Returns 1 where it counts: QEMU has none. */
static inline uint8_t sf_dwt_start(void) {
    SF_DEMCR |= SF_DEMCR_TRCENA;
    SF_DWT_LAR = SF_DWT_UNLOCK; /* the Cortex-M7 ignores writes before this; the others have no lock */
    SF_DWT_CYCCNT = 0;
    SF_DWT(0u) |= SF_DWT_CYCCNTENA;
    const uint32_t first = SF_DWT_CYCCNT;
    for (uint32_t i = 0; i < SF_DWT_TEST_LOOPS; i++) {
        __asm volatile("nop");
    }
    return SF_DWT_CYCCNT != first;
}

#endif
