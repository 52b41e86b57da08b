#include "counter.h"

#include "dwt.h"
#include "registers.h"

#define SYSTICK_BITS  24
#define SYSTICK_MASK  0xFFFFFFu
#define SYSTICK_START 7u /* on, interrupt at zero, CPU clock */

/* QEMU's SysTick stays 0 for a while after it is started. */
#define START_BOUND 20000000u
#define READ_BOUND  64u

void sf_counter_init(sf_counter_t *counter) {
    counter->wraps = 0;
    counter->use_systick = !sf_dwt_start();
    counter->emulated = counter->use_systick && DBGMCU_IDCODE == 0u;
    /* SysTick runs in any case: it is the clock of sf_counter_uptime, one interrupt each 2^24 ticks. */
    SYST_RVR = SYSTICK_MASK;
    SYST_CVR = 0;
    SYST_CSR = SYSTICK_START;
    for (uint32_t i = 0; i < START_BOUND && SYST_CVR == 0u; i++) {
    }
}

uint64_t sf_counter_uptime(const sf_counter_t *counter) {
    uint32_t wraps = 0;
    uint32_t value = 0;
    /* Counts down; zero is where the interrupt counts a wrap, so look again there. */
    for (uint32_t i = 0; i < READ_BOUND; i++) {
        wraps = counter->wraps;
        value = SYST_CVR;
        if (value != 0u && wraps == counter->wraps) {
            break;
        }
    }
    return ((uint64_t)wraps << SYSTICK_BITS) + (SYSTICK_MASK + 1u - value);
}

uint32_t sf_counter_read(const sf_counter_t *counter) {
    return counter->use_systick ? (uint32_t)(sf_counter_uptime(counter) & 0xFFFFFFFFu) : SF_DWT_CYCCNT;
}
