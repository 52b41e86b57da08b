/* A model of the STM32F4's clock tree, for device/port/stm32f4/clock.c: registers, and ready bits that follow their
 * switches (RM0390 sections 5.4, 6.3, 3.8). What is missing can be chosen. */
#include "clock_model.h"

#include "clock.h"

#define RCC_CR      0x40023800u
#define RCC_PLLCFGR 0x40023804u
#define RCC_CFGR    0x40023808u
#define PWR_CR      0x40007000u
#define PWR_CSR     0x40007004u
#define FLASH_ACR   0x40023C00u
#define WORDS       64u

#define NO_HSI        1u
#define NO_HSE        2u
#define NO_PLL        4u
#define NO_OVER_DRIVE 8u

static uint32_t addresses[WORDS];
static uint32_t values[WORDS];
static uint32_t used;
static uint32_t missing;

static uint32_t *word(uint32_t address) {
    for (uint32_t i = 0; i < used; i++) {
        if (addresses[i] == address) {
            return &values[i];
        }
    }
    addresses[used] = address;
    values[used] = 0;
    return &values[used++];
}

static void follow(uint32_t address, uint32_t on, uint32_t ready, uint32_t lacks) {
    uint32_t *value = word(address);
    if ((*value & on) != 0u && (missing & lacks) == 0u) {
        *value |= ready;
    } else {
        *value &= ~ready;
    }
}

volatile uint32_t *clock_model_register(uint32_t address) {
    follow(RCC_CR, 1u << 0, 1u << 1, NO_HSI);
    follow(RCC_CR, 1u << 16, 1u << 17, NO_HSE);
    follow(RCC_CR, 1u << 24, 1u << 25, NO_PLL);
    const uint32_t power = *word(PWR_CR);
    *word(PWR_CSR) = (missing & NO_OVER_DRIVE) != 0u ? 0u : power & (3u << 16);
    uint32_t *selected = word(RCC_CFGR);
    *selected = (*selected & ~(3u << 2)) | (*selected & 3u) << 2;
    return word(address);
}

/* What the registers hold after sf_clock_init: CR, PLLCFGR, CFGR, FLASH_ACR, PWR_CR; then the rates it reports. */
__attribute__((visibility("default"))) void clock_model_run(const sf_clock_plan_t *plan, uint32_t lacks,
                                                            uint32_t out[8]);

void clock_model_run(const sf_clock_plan_t *plan, uint32_t lacks, uint32_t out[8]) {
    static const uint32_t shown[] = {RCC_CR, RCC_PLLCFGR, RCC_CFGR, FLASH_ACR, PWR_CR};
    used = 0;
    missing = lacks;
    const sf_clock_t running = sf_clock_init(plan);
    for (uint32_t i = 0; i < 5u; i++) {
        out[i] = *clock_model_register(shown[i]);
    }
    out[5] = running.cpu_hz;
    out[6] = running.apb1_hz;
    out[7] = running.apb2_hz;
}
