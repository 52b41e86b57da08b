#include "clock.h"

#include "registers.h"

#define HSI_HZ     16000000u
#define WAIT_BOUND 200000u /* about 0.1 s at 16 MHz */
#define HSI_BOUND  1000u   /* HSI runs after every reset; the emulator's never says so */

/* Prescaler code of an APB divider: 0: /1, 4: /2, 5: /4, 6: /8, 7: /16. */
static uint32_t apb_code(uint32_t divider) {
    uint32_t code = 0;
    for (uint32_t step = 1; step < divider; step *= 2u) {
        code = code == 0u ? 4u : code + 1u;
    }
    return code;
}

/* The plan's PLL; from HSI with another first divider, so that the rest of the tree is the same. */
static uint32_t pll_configuration(const sf_clock_plan_t *plan, uint8_t from_hse) {
    const uint32_t source_hz = plan->hse_hz != 0u ? plan->hse_hz : HSI_HZ;
    const uint32_t m = from_hse ? plan->pll_m : HSI_HZ / (source_hz / plan->pll_m);
    const uint32_t r = 2u; /* only the F446 has it; the reset value elsewhere */
    return m | ((uint32_t)plan->pll_n << 6) | ((plan->pll_p / 2u - 1u) << 16) |
           (from_hse ? RCC_PLLCFGR_HSE : 0u) | ((uint32_t)plan->pll_q << 24) | (r << 28);
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

/* PLL and flash ready for the plan's rate. */
static uint8_t prepare(const sf_clock_plan_t *plan, uint8_t from_hse) {
    RCC_PLLCFGR = pll_configuration(plan, from_hse);
    RCC_CR |= RCC_CR_PLLON;
    if (plan->over_drive != 0u && !enable_over_drive()) {
        return 0;
    }
    if (!sf_wait_for(&RCC_CR, RCC_CR_PLLRDY, RCC_CR_PLLRDY, WAIT_BOUND)) {
        return 0;
    }
    FLASH_ACR = plan->wait_states | FLASH_ACR_CACHES;
    return sf_wait_for(&FLASH_ACR, FLASH_ACR_LATENCY, plan->wait_states, WAIT_BOUND);
}

sf_clock_t sf_clock_init(const sf_clock_plan_t *plan) {
    const sf_clock_t fallback = {HSI_HZ, HSI_HZ, HSI_HZ};
    RCC_CR |= RCC_CR_HSION;
    if (!sf_wait_for(&RCC_CR, RCC_CR_HSIRDY, RCC_CR_HSIRDY, HSI_BOUND)) {
        return fallback;
    }
    const uint8_t from_hse = plan->hse_hz != 0u && start_hse(plan->hse_bypass);
    if (!prepare(plan, from_hse)) {
        return fallback;
    }
    RCC_CFGR = (apb_code(plan->apb1_divider) << 10) | (apb_code(plan->apb2_divider) << 13);
    RCC_CFGR |= RCC_CFGR_SW_PLL;
    if (!sf_wait_for(&RCC_CFGR, RCC_CFGR_SWS_MASK, RCC_CFGR_SWS_PLL, WAIT_BOUND)) {
        RCC_CFGR = 0;
        return fallback;
    }
    const sf_clock_t running = {plan->cpu_hz, plan->cpu_hz / plan->apb1_divider,
                                plan->cpu_hz / plan->apb2_divider};
    return running;
}
