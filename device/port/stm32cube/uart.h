/* Which UART, on which pins; F4, L4 and H7 agree on pins and alternate function. */
#ifndef SEMFLASH_STM32CUBE_UART_H
#define SEMFLASH_STM32CUBE_UART_H

#include "hal.h"

#ifndef SF_PORT_USART
#define SF_PORT_USART 2
#endif

#if SF_PORT_USART == 1 /* PA9, PA10 */
#define SF_UART         USART1
#define SF_UART_IRQ     USART1_IRQn
#define SF_UART_HANDLER USART1_IRQHandler
#define SF_UART_AF      GPIO_AF7_USART1
#define SF_UART_GPIO    GPIOA
#define SF_UART_PINS    (GPIO_PIN_9 | GPIO_PIN_10)
#elif SF_PORT_USART == 2 /* PA2, PA3 */
#define SF_UART         USART2
#define SF_UART_IRQ     USART2_IRQn
#define SF_UART_HANDLER USART2_IRQHandler
#define SF_UART_AF      GPIO_AF7_USART2
#define SF_UART_GPIO    GPIOA
#define SF_UART_PINS    (GPIO_PIN_2 | GPIO_PIN_3)
#elif SF_PORT_USART == 3 /* PD8, PD9 */
#define SF_UART         USART3
#define SF_UART_IRQ     USART3_IRQn
#define SF_UART_HANDLER USART3_IRQHandler
#define SF_UART_AF      GPIO_AF7_USART3
#define SF_UART_GPIO    GPIOD
#define SF_UART_PINS    (GPIO_PIN_8 | GPIO_PIN_9)
#else
#error "SF_PORT_USART must be 1, 2 or 3"
#endif

static inline void sf_uart_clocks(void) {
#if SF_PORT_USART == 1
    __HAL_RCC_GPIOA_CLK_ENABLE();
    __HAL_RCC_USART1_CLK_ENABLE();
#elif SF_PORT_USART == 2
    __HAL_RCC_GPIOA_CLK_ENABLE();
    __HAL_RCC_USART2_CLK_ENABLE();
#else
    __HAL_RCC_GPIOD_CLK_ENABLE();
    __HAL_RCC_USART3_CLK_ENABLE();
#endif
}

/* The data register has two names. */
static inline uint8_t sf_uart_take(const UART_HandleTypeDef *uart) {
#if defined(USART_RDR_RDR)
    return (uint8_t)(uart->Instance->RDR & 0xFFu);
#else
    return (uint8_t)(uart->Instance->DR & 0xFFu);
#endif
}

#endif
