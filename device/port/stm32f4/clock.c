#include "clock.h"

#include "registers.h"

#define HSI_HZ     16000000u
#define MHZ        1000000u
#define WAIT_BOUND 200000u /* about 0.1 s at 16 MHz */
#define HSI_BOUND  1000u   /* HSI runs after every reset; the emulator's never says so */

/* Above this the F446 needs over-drive (RM0390 section 5.1.4). */
#define NORMAL_DRIVE_HZ 168000000u

/* Prescaler code (0: /1, 4: /2, 5: /4) that keeps hz at or below limit. */
static uint32_t apb_prescaler(uint32_t hz, uint32_t limit_hz, uint32_t *divider) {
    if (hz <= limit_hz) {
        *divider = 1;
        return 0;
    }
    if (hz / 2u <= limit_hz) {
        *divider = 2;
        return 4;
    }
    *divider = 4;
    return 5;
}

/* M, N, P for wanted_hz from a 2 MHz PLL input; VCO between 192 and 432 MHz. */
static uint32_t pll_configuration(uint32_t wanted_hz, uint32_t source_hz, uint32_t source_bit) {
    const uint32_t p = wanted_hz * 2u >= 192u * MHZ ? 2u : 4u;
    const uint32_t m = source_hz / (2u * MHZ);
    const uint32_t n = wanted_hz * p / (2u * MHZ);
    const uint32_t q = 9u; /* USB and SDIO are not used; keep their clock below 48 MHz */
    const uint32_t r = 2u; /* only the F446 has it; the reset value elsewhere */
    return m | (n << 6) | ((p / 2u - 1u) << 16) | source_bit | (q << 24) | (r << 28);
}

static uint8_t enable_over_drive(void) {
    RCC_APB1ENR |= RCC_APB1ENR_PWR;
    (void)RCC_APB1ENR; /* a clock takes two cycles to arrive */
    PWR_CR |= PWR_CR_ODEN;
    if (!sf_wait_for(&PWR_CSR, PWR_CSR_ODRDY, PWR_CSR_ODRDY, WAIT_BOUND)) {
        return 0;
    }
    PWR_CR |= PWR_CR_ODSWEN;
    return sf_wait_for(&PWR_CSR, PWR_CSR_ODSWRDY, PWR_CSR_ODSWRDY, WAIT_BOUND);
}

/* Start HSE; 0 when it does not come up. */
static uint8_t start_hse(uint8_t bypass) {
    RCC_CR |= RCC_CR_HSEON | (bypass ? RCC_CR_HSEBYP : 0u);
    return sf_wait_for(&RCC_CR, RCC_CR_HSERDY, RCC_CR_HSERDY, WAIT_BOUND);
}

sf_clock_t sf_clock_init(uint32_t wanted_hz, uint32_t hse_hz, uint8_t hse_bypass) {
    const sf_clock_t fallback = {HSI_HZ, HSI_HZ, HSI_HZ};
    RCC_CR |= RCC_CR_HSION;
    if (!sf_wait_for(&RCC_CR, RCC_CR_HSIRDY, RCC_CR_HSIRDY, HSI_BOUND)) {
        return fallback;
    }
    uint32_t source_hz = HSI_HZ;
    uint32_t source_bit = 0;
    if (hse_hz != 0u && start_hse(hse_bypass)) {
        source_hz = hse_hz;
        source_bit = RCC_PLLCFGR_HSE;
    }
    RCC_PLLCFGR = pll_configuration(wanted_hz, source_hz, source_bit);
    RCC_CR |= RCC_CR_PLLON;
    if (wanted_hz > NORMAL_DRIVE_HZ && !enable_over_drive()) {
        return fallback;
    }
    if (!sf_wait_for(&RCC_CR, RCC_CR_PLLRDY, RCC_CR_PLLRDY, WAIT_BOUND)) {
        return fallback;
    }
    /* One wait state for each 30 MHz begun (2.7 to 3.6 V). */
    const uint32_t wait_states = (wanted_hz - 1u) / (30u * MHZ);
    FLASH_ACR = wait_states | FLASH_ACR_CACHES;
    if (!sf_wait_for(&FLASH_ACR, FLASH_ACR_LATENCY, wait_states, WAIT_BOUND)) {
        return fallback;
    }
    uint32_t divider1 = 1;
    uint32_t divider2 = 1;
    const uint32_t code1 = apb_prescaler(wanted_hz, 45u * MHZ, &divider1);
    const uint32_t code2 = apb_prescaler(wanted_hz, 90u * MHZ, &divider2);
    RCC_CFGR = (code1 << 10) | (code2 << 13);
    RCC_CFGR |= RCC_CFGR_SW_PLL;
    if (!sf_wait_for(&RCC_CFGR, RCC_CFGR_SWS_MASK, RCC_CFGR_SWS_PLL, WAIT_BOUND)) {
        RCC_CFGR = 0;
        return fallback;
    }
    const sf_clock_t running = {wanted_hz, wanted_hz / divider1, wanted_hz / divider2};
    return running;
}
