/* Clock tree of the STM32F4: HSI or HSE through the PLL. */
#ifndef SEMFLASH_STM32F4_CLOCK_H
#define SEMFLASH_STM32F4_CLOCK_H

#include <stdint.h>

typedef struct sf_clock {
    uint32_t cpu_hz;
    uint32_t apb1_hz; /* USART2 */
    uint32_t apb2_hz; /* USART1 */
} sf_clock_t;

/* The clock tree of a board description: source / m x n / p. */
typedef struct sf_clock_plan {
    uint32_t cpu_hz;
    uint32_t hse_hz; /* crystal or clock input; 0: none, the PLL starts from HSI */
    uint8_t hse_bypass;
    uint8_t over_drive; /* the F446 above 168 MHz */
    uint8_t apb1_divider;
    uint8_t apb2_divider;
    uint8_t wait_states;
    uint8_t pll_p;
    uint8_t pll_q; /* keeps the clock of USB and SDIO, which are not used, legal */
    uint8_t pll_m;
    uint16_t pll_n;
} sf_clock_plan_t;

/* Run by the plan; from HSI at the same PLL input where HSE does not start. Every wait is bounded. Returns what really
 * runs: 16 MHz from HSI when a step timed out. */
sf_clock_t sf_clock_init(const sf_clock_plan_t *plan);

#endif
