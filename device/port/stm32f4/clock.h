/* Clock tree of the STM32F4: HSI or HSE through the PLL. */
#ifndef SEMFLASH_STM32F4_CLOCK_H
#define SEMFLASH_STM32F4_CLOCK_H

#include <stdint.h>

typedef struct sf_clock {
    uint32_t cpu_hz;
    uint32_t apb1_hz; /* USART2 */
    uint32_t apb2_hz; /* USART1 */
} sf_clock_t;

/* Try to run at wanted_hz (a multiple of 1 MHz, 50..180 MHz). hse_hz: crystal or clock input (a multiple of
 * 2 MHz), 0: none, use HSI; hse_bypass: HSE is a clock, not a crystal. Every wait is bounded. Returns what
 * really runs: 16 MHz from HSI when a step timed out. */
sf_clock_t sf_clock_init(uint32_t wanted_hz, uint32_t hse_hz, uint8_t hse_bypass);

#endif
