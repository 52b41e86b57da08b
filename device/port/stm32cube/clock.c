/* SystemClock_Config from a board description, for the families semflash has boards of. Weak: your own (CubeMX writes
 * one) comes before it. */
#include "clock.h"

#include "hal.h"

#if defined(SF_PORT_PLL_N)

#define CHECK(call)                                                                                          \
    if ((call) != HAL_OK) {                                                                                  \
        sf_clock_failed();                                                                                   \
    }

/* Nothing can be said without a clock: stop where a debugger sees it; a watchdog resets. */
static void sf_clock_failed(void) {
    for (;;) {
        __NOP();
    }
}

#if SF_PORT_HSE_HZ
#define PLL_SOURCE  RCC_PLLSOURCE_HSE
#define OSCILLATORS RCC_OSCILLATORTYPE_HSE
#elif defined(SF_HAL_L4)
#define PLL_SOURCE  RCC_PLLSOURCE_MSI
#define OSCILLATORS RCC_OSCILLATORTYPE_MSI
#else
#define PLL_SOURCE  RCC_PLLSOURCE_HSI
#define OSCILLATORS RCC_OSCILLATORTYPE_HSI
#endif

static void start_oscillator(RCC_OscInitTypeDef *oscillator) {
    oscillator->OscillatorType = OSCILLATORS;
#if SF_PORT_HSE_HZ
    oscillator->HSEState = SF_PORT_HSE_BYPASS ? RCC_HSE_BYPASS : RCC_HSE_ON;
#elif defined(SF_HAL_L4)
    oscillator->MSIState = RCC_MSI_ON;
    oscillator->MSIClockRange = RCC_MSIRANGE_6; /* 4 MHz */
    oscillator->MSICalibrationValue = RCC_MSICALIBRATION_DEFAULT;
#else
    oscillator->HSIState = RCC_HSI_ON;
    oscillator->HSICalibrationValue = RCC_HSICALIBRATION_DEFAULT;
#endif
    oscillator->PLL.PLLState = RCC_PLL_ON;
    oscillator->PLL.PLLSource = PLL_SOURCE;
    oscillator->PLL.PLLM = SF_PORT_PLL_M;
    oscillator->PLL.PLLN = SF_PORT_PLL_N;
    oscillator->PLL.PLLP = SF_PORT_PLL_P;
    oscillator->PLL.PLLQ = SF_PORT_PLL_Q;
#if defined(SF_HAL_L4) || defined(SF_HAL_H7)
    oscillator->PLL.PLLR = SF_PORT_PLL_R;
#endif
#if defined(SF_HAL_H7)
    oscillator->PLL.PLLRGE = RCC_PLL1VCIRANGE_1; /* 2 to 4 MHz */
    oscillator->PLL.PLLVCOSEL = RCC_PLL1VCOWIDE;
    oscillator->PLL.PLLFRACN = 0;
#endif
}

/* Register codes of dividers that are powers of two. */
static uint32_t log2_of(uint32_t divider) {
    uint32_t code = 0;
    while (divider > 1u) {
        divider /= 2u;
        code++;
    }
    return code;
}

#if defined(SF_HAL_H7)
static void start_buses(RCC_ClkInitTypeDef *buses) {
    static const uint32_t ahb[] = {RCC_HCLK_DIV1, RCC_HCLK_DIV2, RCC_HCLK_DIV4};
    static const uint32_t apb1[] = {RCC_APB1_DIV1, RCC_APB1_DIV2, RCC_APB1_DIV4};
    static const uint32_t apb2[] = {RCC_APB2_DIV1, RCC_APB2_DIV2, RCC_APB2_DIV4};
    buses->ClockType |= RCC_CLOCKTYPE_D1PCLK1 | RCC_CLOCKTYPE_D3PCLK1;
    buses->SYSCLKDivider = RCC_SYSCLK_DIV1;
    buses->AHBCLKDivider = ahb[log2_of(SF_PORT_AHB_DIVIDER)];
    buses->APB1CLKDivider = apb1[log2_of(SF_PORT_APB1_DIVIDER)];
    buses->APB2CLKDivider = apb2[log2_of(SF_PORT_APB2_DIVIDER)];
    buses->APB3CLKDivider = RCC_APB3_DIV2;
    buses->APB4CLKDivider = RCC_APB4_DIV2;
}
#else
static void start_buses(RCC_ClkInitTypeDef *buses) {
    static const uint32_t ahb[] = {RCC_SYSCLK_DIV1, RCC_SYSCLK_DIV2, RCC_SYSCLK_DIV4};
    static const uint32_t apb[] = {RCC_HCLK_DIV1, RCC_HCLK_DIV2, RCC_HCLK_DIV4};
    buses->AHBCLKDivider = ahb[log2_of(SF_PORT_AHB_DIVIDER)];
    buses->APB1CLKDivider = apb[log2_of(SF_PORT_APB1_DIVIDER)];
    buses->APB2CLKDivider = apb[log2_of(SF_PORT_APB2_DIVIDER)];
}
#endif

_Static_assert(SF_PORT_AHB_DIVIDER <= 4 && SF_PORT_APB1_DIVIDER <= 4 && SF_PORT_APB2_DIVIDER <= 4,
               "bus dividers are 1, 2 or 4");

/* Core voltage for the highest rate of the family. */
static void set_voltage(void) {
#if defined(SF_HAL_H7)
    CHECK(HAL_PWREx_ConfigSupply(PWR_LDO_SUPPLY));
    __HAL_PWR_VOLTAGESCALING_CONFIG(PWR_REGULATOR_VOLTAGE_SCALE1);
    while (!__HAL_PWR_GET_FLAG(PWR_FLAG_VOSRDY)) {
    }
#elif defined(SF_HAL_L4)
    __HAL_RCC_PWR_CLK_ENABLE();
    CHECK(HAL_PWREx_ControlVoltageScaling(PWR_REGULATOR_VOLTAGE_SCALE1));
#else
    /* The reset value is the highest scale of each part: RM0390 5.4.1, RM0368 5.4.1. */
    __HAL_RCC_PWR_CLK_ENABLE();
#endif
}

__attribute__((weak)) void SystemClock_Config(void) {
    set_voltage();
    RCC_OscInitTypeDef oscillator = {0};
    start_oscillator(&oscillator);
    CHECK(HAL_RCC_OscConfig(&oscillator));
#if SF_PORT_OVER_DRIVE
    CHECK(HAL_PWREx_EnableOverDrive());
#endif
    RCC_ClkInitTypeDef buses = {0};
    buses.ClockType = RCC_CLOCKTYPE_SYSCLK | RCC_CLOCKTYPE_HCLK | RCC_CLOCKTYPE_PCLK1 | RCC_CLOCKTYPE_PCLK2;
    buses.SYSCLKSource = RCC_SYSCLKSOURCE_PLLCLK;
    start_buses(&buses);
    CHECK(HAL_RCC_ClockConfig(&buses, SF_PORT_WAIT_STATES)); /* FLASH_LATENCY_n is n */
}

#endif
