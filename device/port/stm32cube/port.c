/* The port over ST's HAL: STM32F4, L4, H7, and others that a SF_PORT_HAL_HEADER names.
 *
 * Compile-time settings, from the board description:
 *   SF_PORT_USART 1 (PA9/PA10), 2 (PA2/PA3) or 3 (PD8/PD9)   SF_PORT_BAUD
 *   SF_PORT_UART_HANDLE name of a UART handle that your own code has set up, instead of these pins
 *   SF_PORT_OWN_HANDLERS: your own code has the interrupt handlers, and calls sf_uart_interrupt, HAL_IncTick and, as
 *     HardFault_Handler, sf_fault_handler
 *   SF_PORT_WATCHDOG_MS 2000 to 32000: independent watchdog (0: off)
 *   SF_BOARD_NAME "text"   SF_BUILD_ID number   SF_DEVICE_ID bytes, instead of the chip's unique id
 *   and those of clock.c
 */
#include "port.h"

#include <string.h>

#include "clock.h"
#include "dwt.h"
#include "fault.h"
#include "semflash/board.h"
#include "stack.h"
#include "uart.h"
#ifdef SF_HAL_H7
#define SF_PORT_WATCHDOG_BASE 0x58004800u
#endif
#include "watchdog.h"

#if __has_include("sf_build.h")
#include "sf_build.h" /* of a build folder: SF_BUILD_ID, in one file so that a new id compiles one file */
#endif

#ifndef SF_PORT_BAUD
#define SF_PORT_BAUD 115200u
#endif
#ifndef SF_BOARD_NAME
#define SF_BOARD_NAME "stm32cube"
#endif
#ifndef SF_BUILD_ID
#define SF_BUILD_ID 0u
#endif

_Static_assert(sizeof SF_BOARD_NAME <= SF_BOARD_NAME_BYTES + 1u,
               "SF_BOARD_NAME is longer than 24 characters");

#define COUNTER_ONE        65536u
#define TX_TIMEOUT_MS      1000u
#define RX_PRIORITY        4u
#define CALIBRATION_ROUNDS 64u
#define COST_ONE           256u
#define WRITE_MAX          0xFFFFu
#define UNIQUE_ID_BYTES    12u

#ifdef SF_PORT_UART_HANDLE
extern UART_HandleTypeDef SF_PORT_UART_HANDLE;
static UART_HandleTypeDef *const uart = &SF_PORT_UART_HANDLE;
#else
static UART_HandleTypeDef own_uart;
static UART_HandleTypeDef *const uart = &own_uart;
#endif

/* The state of the one board there is; shared with the interrupt handler. */
static struct {
    uint8_t *queue;
    uint32_t capacity;
    volatile uint32_t head;          /* next free place, written by the interrupt */
    volatile uint32_t tail;          /* next byte to read, written by sf_board_read */
    volatile uint32_t overruns;      /* bytes lost */
    volatile uint32_t handler_ticks; /* spent in the receive interrupt while somebody may be timing */
    volatile uint32_t handler_count;
    uint32_t entry_cost;   /* of each of these, outside handler_ticks; 1/256 ticks */
    uint32_t last_ms;      /* of HAL_GetTick */
    uint32_t high_ms;      /* how often it wrapped */
    volatile uint8_t idle; /* the main loop waits for bytes, so nobody times anything */
} board;

static void take_byte(void) {
    const uint8_t overrun = __HAL_UART_GET_FLAG(uart, UART_FLAG_ORE) ? 1u : 0u;
    if (__HAL_UART_GET_FLAG(uart, UART_FLAG_RXNE)) {
        const uint8_t byte = sf_uart_take(uart);
        uint32_t next = board.head + 1u;
        next = next == board.capacity ? 0u : next;
        if (next == board.tail) {
            board.overruns++;
        } else {
            board.queue[board.head] = byte;
            board.head = next;
        }
    }
    if (overrun != 0u) {
        __HAL_UART_CLEAR_OREFLAG(uart);
        board.overruns++;
    }
}

void sf_uart_interrupt(void) {
    if (board.idle) {
        take_byte();
        return;
    }
    const uint32_t start = SF_DWT_CYCCNT;
    take_byte();
    board.handler_count++;
    board.handler_ticks += SF_DWT_CYCCNT - start;
}

#ifndef SF_PORT_OWN_HANDLERS
void SF_UART_HANDLER(void);
void SF_UART_HANDLER(void) {
    sf_uart_interrupt();
}

void SysTick_Handler(void);
void SysTick_Handler(void) {
    HAL_IncTick();
}

void HardFault_Handler(void);
__attribute__((naked)) void HardFault_Handler(void) {
    __asm volatile("b sf_fault_handler");
}
#endif

static sf_status_t port_write(void *context, const uint8_t *bytes, size_t n) {
    (void)context;
    sf_watchdog_feed();
    while (n > 0u) {
        const uint16_t piece = n < WRITE_MAX ? (uint16_t)n : WRITE_MAX;
        /* HAL only reads the bytes; on some families it does not say so. */
        if (HAL_UART_Transmit(uart, (uint8_t *)(uintptr_t)bytes, piece, TX_TIMEOUT_MS) != HAL_OK) {
            return SF_ERR_IO;
        }
        bytes += piece;
        n -= piece;
    }
    return SF_OK;
}

/* Without the time spent in the receive interrupt: the encoder's own cycles. */
static uint32_t port_ticks(void *context) {
    (void)context;
    sf_watchdog_feed();
    for (;;) {
        const uint32_t handled = board.handler_ticks;
        const uint32_t entries = (uint32_t)((uint64_t)board.handler_count * board.entry_cost / COST_ONE);
        const uint32_t now = SF_DWT_CYCCNT;
        if (handled == board.handler_ticks) {
            return now - handled - entries;
        }
    }
}

static uint32_t port_overruns(void *context) {
    (void)context;
    return board.overruns;
}

/* HAL_GetTick counts milliseconds and wraps after 49 days; asked at least as often, this does not. */
static uint64_t port_uptime_us(void *context) {
    (void)context;
    const uint32_t now = HAL_GetTick();
    board.high_ms += now < board.last_ms ? 1u : 0u;
    board.last_ms = now;
    return (((uint64_t)board.high_ms << 32) | now) * 1000u;
}

/* Cycles that CALIBRATION_ROUNDS rounds take, with or without an interrupt in each. */
static uint32_t time_pending(uint8_t pending) {
    const uint32_t start = SF_DWT_CYCCNT;
    for (uint32_t i = 0; i < CALIBRATION_ROUNDS; i++) {
        if (pending != 0u) {
            NVIC_SetPendingIRQ(SF_UART_IRQ);
        }
        __DSB();
        __ISB();
    }
    return SF_DWT_CYCCNT - start;
}

/* What an interrupt costs beside what its handler measures itself. */
static void calibrate(void) {
    const uint32_t loop = time_pending(0);
    const uint32_t count = board.handler_count;
    const uint32_t handled = board.handler_ticks;
    const uint32_t all = time_pending(1);
    const uint32_t outside = all - (board.handler_ticks - handled) - loop;
    const uint32_t calls = board.handler_count - count;
    board.entry_cost = calls > 0u && outside <= all ? outside * COST_ONE / calls : 0u;
}

static sf_reset_cause_t reset_cause(void) {
    const uint8_t crashed = sf_fault_start(SF_BUILD_ID);
#ifdef SF_HAL_H7
    const uint8_t watchdog = __HAL_RCC_GET_FLAG(RCC_FLAG_IWDG1RST) || __HAL_RCC_GET_FLAG(RCC_FLAG_WWDG1RST);
#else
    const uint8_t watchdog = __HAL_RCC_GET_FLAG(RCC_FLAG_IWDGRST) || __HAL_RCC_GET_FLAG(RCC_FLAG_WWDGRST);
#endif
    const uint8_t software = __HAL_RCC_GET_FLAG(RCC_FLAG_SFTRST) ? 1u : 0u;
    const uint8_t power = __HAL_RCC_GET_FLAG(RCC_FLAG_BORRST) ? 1u : 0u; /* set by power-on as well */
    const uint8_t pin = __HAL_RCC_GET_FLAG(RCC_FLAG_PINRST) ? 1u : 0u;
    __HAL_RCC_CLEAR_RESET_FLAGS();
    if (watchdog != 0u) {
        return SF_RESET_WATCHDOG;
    }
    if (crashed != 0u) {
        return SF_RESET_FAULT;
    }
    if (software != 0u) {
        return SF_RESET_SOFTWARE;
    }
    if (power != 0u) {
        return SF_RESET_POWER_ON;
    }
    return pin != 0u ? SF_RESET_PIN : SF_RESET_UNKNOWN;
}

/* 8N1 with the receive interrupt. Returns 0 when HAL refuses, for instance a baud rate the clock cannot make. */
static uint8_t start_uart(void) {
#ifndef SF_PORT_UART_HANDLE
    sf_uart_clocks();
    GPIO_InitTypeDef pins = {0};
    pins.Pin = SF_UART_PINS;
    pins.Mode = GPIO_MODE_AF_PP;
    pins.Pull = GPIO_PULLUP;
    pins.Speed = GPIO_SPEED_FREQ_HIGH;
    pins.Alternate = SF_UART_AF;
    HAL_GPIO_Init(SF_UART_GPIO, &pins);
    uart->Instance = SF_UART;
    uart->Init.BaudRate = SF_PORT_BAUD;
    uart->Init.WordLength = UART_WORDLENGTH_8B;
    uart->Init.StopBits = UART_STOPBITS_1;
    uart->Init.Parity = UART_PARITY_NONE;
    uart->Init.Mode = UART_MODE_TX_RX;
    uart->Init.HwFlowCtl = UART_HWCONTROL_NONE;
    uart->Init.OverSampling = UART_OVERSAMPLING_16;
    if (HAL_UART_Init(uart) != HAL_OK) {
        return 0;
    }
    HAL_NVIC_SetPriority(SF_UART_IRQ, RX_PRIORITY, 0);
    HAL_NVIC_EnableIRQ(SF_UART_IRQ);
#endif
    __HAL_UART_ENABLE_IT(uart, UART_IT_RXNE);
    return 1;
}

void sf_board_init(uint8_t *queue, size_t queue_bytes, sf_port_t *port, sf_board_info_t *info) {
    sf_stack_paint();
    board.queue = queue;
    board.capacity = (uint32_t)queue_bytes;
#ifdef SF_HAL_H7
    SCB_EnableICache();
    SCB_EnableDCache();
#endif
    /* Neither fails but for a clock that does not start, and SystemClock_Config stops then. */
    (void)HAL_Init();
    SystemClock_Config();
    sf_watchdog_start();
    (void)sf_dwt_start();
    memset(info, 0, sizeof *info);
    info->counter_kind = SF_COUNTER_CYCLES;
    info->counter_scale = COUNTER_ONE;
    info->clock_hz = SystemCoreClock;
    info->build_id = SF_BUILD_ID;
    info->reset_cause = reset_cause();
    info->capabilities = SF_CAN_FAULTS;
    memcpy(info->name, SF_BOARD_NAME, sizeof SF_BOARD_NAME - 1u);
#ifdef SF_DEVICE_ID
    static const uint8_t id[] = {SF_DEVICE_ID};
    info->id = id;
    info->id_bytes = sizeof id;
#else
    info->id = (const uint8_t *)UID_BASE; /* 96 bits, of ST's device header */
    info->id_bytes = UNIQUE_ID_BYTES;
#endif
    port->context = NULL;
    port->write = port_write;
    port->ticks = port_ticks;
    port->stack_bytes = sf_stack_high_water;
    port->overruns = port_overruns;
    port->uptime_us = port_uptime_us;
    port->fault = sf_fault_report;
    if (start_uart()) {
        calibrate();
    }
}

size_t sf_board_read(uint8_t *bytes, size_t capacity) {
    board.idle = 1;
    /* Look and sleep with interrupts masked: a pending one still wakes the core, so none is slept through. */
    for (;;) {
        sf_watchdog_feed(); /* SysTick wakes the core a thousand times a second */
        __disable_irq();
        if (board.head != board.tail) {
            break;
        }
        __DSB();
        __WFI();
        __enable_irq();
        __ISB();
    }
    board.idle = 0;
    __enable_irq();
    size_t n = 0;
    uint32_t tail = board.tail;
    const uint32_t head = board.head;
    while (n < capacity && tail != head) {
        bytes[n] = board.queue[tail];
        n++;
        tail = tail + 1u == board.capacity ? 0u : tail + 1u;
    }
    board.tail = tail;
    return n;
}
