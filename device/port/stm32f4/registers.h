/* The registers of the STM32F4 that this port uses. Source: ST RM0090 (F405), RM0390 (F446),
 * RM0368 (F401), Arm DDI 0403E. */
#ifndef SEMFLASH_STM32F4_REGISTERS_H
#define SEMFLASH_STM32F4_REGISTERS_H

#include <stdint.h>

#ifndef SF_REGISTER /* tests put a model of the clock tree here */
#define SF_REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))
#endif

/* Reset and clock control, RM0090 section 7.3 */
#define RCC_CR             SF_REGISTER(0x40023800u)
#define RCC_CR_HSION       (1u << 0)
#define RCC_CR_HSIRDY      (1u << 1)
#define RCC_CR_HSEON       (1u << 16)
#define RCC_CR_HSERDY      (1u << 17)
#define RCC_CR_HSEBYP      (1u << 18)
#define RCC_CR_PLLON       (1u << 24)
#define RCC_CR_PLLRDY      (1u << 25)
#define RCC_PLLCFGR        SF_REGISTER(0x40023804u)
#define RCC_PLLCFGR_HSE    (1u << 22)
#define RCC_CFGR           SF_REGISTER(0x40023808u)
#define RCC_CFGR_SW_PLL    2u
#define RCC_CFGR_SWS_MASK  (3u << 2)
#define RCC_CFGR_SWS_PLL   (2u << 2)
#define RCC_AHB1ENR        SF_REGISTER(0x40023830u)
#define RCC_AHB1ENR_GPIOA  (1u << 0)
#define RCC_APB1ENR        SF_REGISTER(0x40023840u)
#define RCC_APB1ENR_USART2 (1u << 17)
#define RCC_APB1ENR_PWR    (1u << 28)
#define RCC_APB2ENR        SF_REGISTER(0x40023844u)
#define RCC_APB2ENR_USART1 (1u << 4)
#define RCC_CSR            SF_REGISTER(0x40023874u)
#define RCC_CSR_RMVF       (1u << 24)
#define RCC_CSR_BORRSTF    (1u << 25)
#define RCC_CSR_PINRSTF    (1u << 26)
#define RCC_CSR_PORRSTF    (1u << 27)
#define RCC_CSR_SFTRSTF    (1u << 28)
#define RCC_CSR_IWDGRSTF   (1u << 29)
#define RCC_CSR_WWDGRSTF   (1u << 30)

/* Power: over-drive of the F446 above 168 MHz, RM0390 section 5.4 */
#define PWR_CR          SF_REGISTER(0x40007000u)
#define PWR_CR_ODEN     (1u << 16)
#define PWR_CR_ODSWEN   (1u << 17)
#define PWR_CSR         SF_REGISTER(0x40007004u)
#define PWR_CSR_ODRDY   (1u << 16)
#define PWR_CSR_ODSWRDY (1u << 17)

/* Flash wait states, prefetch and caches, RM0090 section 3.9 */
#define FLASH_ACR         SF_REGISTER(0x40023C00u)
#define FLASH_ACR_LATENCY 15u
#define FLASH_ACR_CACHES  ((1u << 8) | (1u << 9) | (1u << 10))

#define GPIOA_MODER SF_REGISTER(0x40020000u)
#define GPIOA_AFRL  SF_REGISTER(0x40020020u)
#define GPIOA_AFRH  SF_REGISTER(0x40020024u)

/* USART, RM0090 section 30.6 */
#define USART1_BASE      0x40011000u
#define USART2_BASE      0x40004400u
#define USART_SR(base)   SF_REGISTER((base) + 0u)
#define USART_DR(base)   SF_REGISTER((base) + 4u)
#define USART_BRR(base)  SF_REGISTER((base) + 8u)
#define USART_CR1(base)  SF_REGISTER((base) + 12u)
#define USART_SR_ORE     (1u << 3)
#define USART_SR_RXNE    (1u << 5)
#define USART_SR_TXE     (1u << 7)
#define USART_CR1_RE     (1u << 2)
#define USART_CR1_TE     (1u << 3)
#define USART_CR1_RXNEIE (1u << 5)
#define USART_CR1_OVER8  (1u << 15)
#define USART_CR1_UE     (1u << 13)
#define USART1_IRQ       37u
#define USART2_IRQ       38u

/* Cortex-M4 */
#define SYST_CSR           SF_REGISTER(0xE000E010u)
#define SYST_RVR           SF_REGISTER(0xE000E014u)
#define SYST_CVR           SF_REGISTER(0xE000E018u)
#define NVIC_ISER(n)       SF_REGISTER(0xE000E100u + 4u * (n))
#define NVIC_ISPR(n)       SF_REGISTER(0xE000E200u + 4u * (n))
#define NVIC_IPR_BYTE(irq) (*(volatile uint8_t *)(uintptr_t)(0xE000E400u + (irq)))
#define SCB_VTOR           SF_REGISTER(0xE000ED08u)
#define SCB_CPACR          SF_REGISTER(0xE000ED88u)
#define DBGMCU_IDCODE      SF_REGISTER(0xE0042000u)
#define DBGMCU_CR          SF_REGISTER(0xE0042004u)
#define DBGMCU_CR_SLEEP    (1u << 0)

/* 96 bits that no other chip has (RM0090, 39.1); QEMU maps nothing there. */
#define UNIQUE_ID_BASE  ((uintptr_t)0x1FFF7A10u)
#define UNIQUE_ID_BYTES 12u

/* Wait until (register & mask) == value, at most `bound` looks: QEMU's clock tree never gets ready. */
static inline uint8_t sf_wait_for(volatile uint32_t *address, uint32_t mask, uint32_t value, uint32_t bound) {
    while ((*address & mask) != value) {
        if (bound == 0u) {
            return 0;
        }
        bound--;
    }
    return 1;
}

#endif
