/* The port for the STM32F4: one serial port, one counter. Runs unchanged on F401, F405 and F446 and in QEMU 7.2's
 * netduinoplus2, and finds out at run time whether it is in the emulator.
 *
 * Compile-time settings, from the board description:
 *   SF_PORT_USART 1 (PA9/PA10) or 2 (PA2/PA3)      SF_PORT_CLOCK_HZ wanted CPU clock     SF_PORT_BAUD
 *   SF_PORT_HSE_HZ crystal or clock input (0: HSI)   SF_PORT_HSE_BYPASS 1: a clock, not a crystal
 *   SF_PORT_PLL_M, _N, _P, _Q, SF_PORT_APB1_DIVIDER, SF_PORT_APB2_DIVIDER, SF_PORT_WAIT_STATES, SF_PORT_OVER_DRIVE
 *   SF_PORT_WATCHDOG_MS 2000 to 32000: independent watchdog (0: off)
 *   SF_BOARD_NAME "text"   SF_BUILD_ID number   SF_DEVICE_ID bytes, instead of the chip's unique id, which the emulator
 *   does not have
 */
#include "semflash/board.h"

#include <string.h>

#include "clock.h"
#include "counter.h"
#include "fault.h"
#include "registers.h"
#include "stack.h"
#include "startup.h"
#include "watchdog.h"

#if __has_include("sf_build.h")
#include "sf_build.h" /* of a build folder: SF_BUILD_ID, in one file so that a new id compiles one file */
#endif

#ifndef SF_PORT_USART
#define SF_PORT_USART 1
#endif
#ifndef SF_PORT_CLOCK_HZ
#define SF_PORT_CLOCK_HZ 168000000u
#endif
#ifndef SF_PORT_BAUD
#define SF_PORT_BAUD 115200u
#endif
#ifndef SF_PORT_HSE_HZ
#define SF_PORT_HSE_HZ 0u
#endif
#ifndef SF_PORT_HSE_BYPASS
#define SF_PORT_HSE_BYPASS 0
#endif
#ifndef SF_PORT_PLL_N /* from HSI: 16 MHz / 16 x 336 / 2 */
#define SF_PORT_PLL_M        16
#define SF_PORT_PLL_N        336
#define SF_PORT_PLL_P        2
#define SF_PORT_PLL_Q        7
#define SF_PORT_APB1_DIVIDER 4
#define SF_PORT_APB2_DIVIDER 2
#define SF_PORT_WAIT_STATES  5
#define SF_PORT_OVER_DRIVE   0
#endif
#ifndef SF_BOARD_NAME
#define SF_BOARD_NAME "stm32f4"
#endif
#ifndef SF_BUILD_ID
#define SF_BUILD_ID 0u
#endif

#if SF_PORT_USART == 1
#define USART     USART1_BASE
#define USART_IRQ USART1_IRQ
#elif SF_PORT_USART == 2
#define USART     USART2_BASE
#define USART_IRQ USART2_IRQ
#else
#error "SF_PORT_USART must be 1 or 2"
#endif

_Static_assert(sizeof SF_BOARD_NAME <= SF_BOARD_NAME_BYTES + 1u,
               "SF_BOARD_NAME is longer than 24 characters");

#define COUNTER_ONE 65536u /* counter scale of a counter that counts what it reports */
/* QEMU with -icount shift=0: 1 ns per instruction, SysTick at 168 MHz: ticks / 0.168 instructions. */
#define EMULATOR_CLOCK_HZ  168000000u
#define EMULATOR_SCALE     390095u /* 65,536 / 0.168 */
#define TX_BOUND           4000000u
#define COST_ONE           256u
#define CALIBRATION_ROUNDS 64u
#define RX_PRIORITY        0x40u /* below SysTick (0), which counts the wraps */

/* The state of the one board there is; shared with the interrupt handlers. */
static struct {
    sf_counter_t counter;
    uint8_t *queue;
    uint32_t capacity;
    uint32_t clock_hz;
    volatile uint32_t head;          /* next free place, written by the interrupt */
    volatile uint32_t tail;          /* next byte to read, written by sf_board_read */
    volatile uint32_t overruns;      /* bytes lost */
    volatile uint32_t handler_ticks; /* spent in the receive interrupt while somebody may be timing */
    volatile uint32_t handler_count;
    uint32_t entry_cost;   /* of each of these, outside handler_ticks; 1/256 ticks */
    volatile uint8_t idle; /* the main loop waits for bytes, so nobody times anything */
} board;

/* Take the received byte into the queue. */
static void take_byte(void) {
    const uint32_t status = USART_SR(USART);
    if ((status & (USART_SR_RXNE | USART_SR_ORE)) == 0u) {
        return;
    }
    const uint8_t byte = (uint8_t)USART_DR(USART);
    uint32_t next = board.head + 1u;
    next = next == board.capacity ? 0u : next;
    if ((status & USART_SR_ORE) != 0u || next == board.tail) {
        board.overruns++;
    }
    if ((status & USART_SR_RXNE) != 0u && next != board.tail) {
        board.queue[board.head] = byte;
        board.head = next;
    }
}

void sf_usart_handler(void) {
    if (board.idle) {
        take_byte();
        return;
    }
    const uint32_t start = sf_counter_read(&board.counter);
    take_byte();
    board.handler_count++;
    board.handler_ticks += sf_counter_read(&board.counter) - start;
}

void sf_systick_handler(void) {
    board.counter.wraps++;
}

static sf_status_t port_write(void *context, const uint8_t *bytes, size_t n) {
    (void)context;
    sf_watchdog_feed();
    for (size_t i = 0; i < n; i++) {
        if (!sf_wait_for(&USART_SR(USART), USART_SR_TXE, USART_SR_TXE, TX_BOUND)) {
            return SF_ERR_IO;
        }
        USART_DR(USART) = bytes[i];
    }
    return SF_OK;
}

/* Without the time spent in the receive interrupt: the encoder's own ticks. */
static uint32_t port_ticks(void *context) {
    (void)context;
    sf_watchdog_feed();
    for (;;) {
        const uint32_t handled = board.handler_ticks;
        const uint32_t entries = (uint32_t)((uint64_t)board.handler_count * board.entry_cost / COST_ONE);
        const uint32_t now = sf_counter_read(&board.counter);
        if (handled == board.handler_ticks) {
            return now - handled - entries;
        }
    }
}

/* Ticks that CALIBRATION_ROUNDS writes of `bits` to the interrupt's pending register take. */
static uint32_t time_pending(uint32_t bits) {
    const uint32_t start = sf_counter_read(&board.counter);
    for (uint32_t i = 0; i < CALIBRATION_ROUNDS; i++) {
        NVIC_ISPR(USART_IRQ / 32u) = bits;
        __asm volatile("dsb\n isb" ::: "memory");
    }
    return sf_counter_read(&board.counter) - start;
}

/* Measure what an interrupt costs beside what its handler measures itself: entry, exit, register saving. */
static void calibrate(void) {
    const uint32_t loop = time_pending(0);
    const uint32_t count = board.handler_count;
    const uint32_t handled = board.handler_ticks;
    const uint32_t all = time_pending(1u << (USART_IRQ % 32u));
    const uint32_t outside = all - (board.handler_ticks - handled) - loop;
    const uint32_t calls = board.handler_count - count;
    board.entry_cost = calls > 0u && outside <= all ? outside * COST_ONE / calls : 0u;
}

static uint32_t port_overruns(void *context) {
    (void)context;
    return board.overruns;
}

static uint64_t port_uptime_us(void *context) {
    (void)context;
    const uint64_t ticks = sf_counter_uptime(&board.counter);
    return ticks / board.clock_hz * 1000000u + ticks % board.clock_hz * 1000000u / board.clock_hz;
}

/* The id given at build, else the chip's own; the emulator has none. */
static void identify(sf_board_info_t *info) {
#ifdef SF_DEVICE_ID
    static const uint8_t id[] = {SF_DEVICE_ID};
    info->id = id;
    info->id_bytes = sizeof id;
#else
    info->id = (const uint8_t *)UNIQUE_ID_BASE;
    info->id_bytes = board.counter.emulated ? 0u : UNIQUE_ID_BYTES;
#endif
}

static sf_reset_cause_t reset_cause(void) {
    const uint8_t crashed = sf_fault_start(SF_BUILD_ID);
    const uint32_t flags = RCC_CSR;
    RCC_CSR |= RCC_CSR_RMVF;
    if ((flags & (RCC_CSR_IWDGRSTF | RCC_CSR_WWDGRSTF)) != 0u) {
        return SF_RESET_WATCHDOG;
    }
    if (crashed != 0u) {
        return SF_RESET_FAULT;
    }
    if ((flags & RCC_CSR_SFTRSTF) != 0u) {
        return SF_RESET_SOFTWARE;
    }
    if ((flags & (RCC_CSR_PORRSTF | RCC_CSR_BORRSTF)) != 0u) {
        return SF_RESET_POWER_ON;
    }
    return (flags & RCC_CSR_PINRSTF) != 0u ? SF_RESET_PIN : SF_RESET_UNKNOWN;
}

/* Pins to alternate function 7, then 8N1 with the receive interrupt. */
static void start_usart(const sf_clock_t *clock) {
    DBGMCU_CR |= DBGMCU_CR_SLEEP; /* a debugger can still attach while the core sleeps */
    RCC_AHB1ENR |= RCC_AHB1ENR_GPIOA;
#if SF_PORT_USART == 1
    RCC_APB2ENR |= RCC_APB2ENR_USART1;
    (void)RCC_APB2ENR; /* clocks take two cycles to arrive */
    GPIOA_AFRH = (GPIOA_AFRH & ~0x00000FF0u) | 0x00000770u;
    GPIOA_MODER = (GPIOA_MODER & ~(15u << 18)) | (10u << 18);
    const uint32_t bus_hz = clock->apb2_hz;
#else
    RCC_APB1ENR |= RCC_APB1ENR_USART2;
    (void)RCC_APB1ENR; /* clocks take two cycles to arrive */
    GPIOA_AFRL = (GPIOA_AFRL & ~0x0000FF00u) | 0x00007700u;
    GPIOA_MODER = (GPIOA_MODER & ~(15u << 4)) | (10u << 4);
    const uint32_t bus_hz = clock->apb1_hz;
#endif
    /* Sixteenfold oversampling: BRR is the clock divider in 1/16, which is bus / baud. */
    USART_BRR(USART) = (bus_hz + SF_PORT_BAUD / 2u) / SF_PORT_BAUD;
    USART_CR1(USART) = USART_CR1_UE | USART_CR1_TE | USART_CR1_RE | USART_CR1_RXNEIE;
    NVIC_IPR_BYTE(USART_IRQ) = RX_PRIORITY;
    NVIC_ISER(USART_IRQ / 32u) = 1u << (USART_IRQ % 32u);
}

void sf_board_init(uint8_t *queue, size_t queue_bytes, sf_port_t *port, sf_board_info_t *info) {
    board.queue = queue;
    board.capacity = (uint32_t)queue_bytes;
    sf_watchdog_start();
    static const sf_clock_plan_t plan = {
        .cpu_hz = SF_PORT_CLOCK_HZ,
        .hse_hz = SF_PORT_HSE_HZ,
        .hse_bypass = SF_PORT_HSE_BYPASS,
        .over_drive = SF_PORT_OVER_DRIVE,
        .apb1_divider = SF_PORT_APB1_DIVIDER,
        .apb2_divider = SF_PORT_APB2_DIVIDER,
        .wait_states = SF_PORT_WAIT_STATES,
        .pll_p = SF_PORT_PLL_P,
        .pll_q = SF_PORT_PLL_Q,
        .pll_m = SF_PORT_PLL_M,
        .pll_n = SF_PORT_PLL_N,
    };
    const sf_clock_t clock = sf_clock_init(&plan);
    sf_counter_init(&board.counter);
    port->context = NULL;
    port->write = port_write;
    port->ticks = port_ticks;
    port->stack_bytes = sf_stack_high_water;
    port->fault = sf_fault_report;
    port->overruns = port_overruns;
    port->uptime_us = port_uptime_us;
    memset(info, 0, sizeof *info);
    info->counter_kind = board.counter.emulated ? SF_COUNTER_INSTRUCTIONS : SF_COUNTER_CYCLES;
    info->counter_scale = board.counter.emulated ? EMULATOR_SCALE : COUNTER_ONE;
    board.clock_hz = board.counter.emulated ? EMULATOR_CLOCK_HZ : clock.cpu_hz;
    info->clock_hz = board.clock_hz;
    info->build_id = SF_BUILD_ID;
    info->reset_cause = reset_cause();
    info->capabilities = SF_CAN_FAULTS;
    memcpy(info->name, SF_BOARD_NAME, sizeof SF_BOARD_NAME - 1u);
    identify(info);
    start_usart(&clock);
    __asm volatile("cpsie i" ::: "memory");
    calibrate();
}

size_t sf_board_read(uint8_t *bytes, size_t capacity) {
    board.idle = 1;
    /* Look and sleep with interrupts masked: a pending one still wakes the core, so none is slept through. */
    for (;;) {
        sf_watchdog_feed(); /* SysTick wakes the core a few times a second */
        __asm volatile("cpsid i" ::: "memory");
        if (board.head != board.tail) {
            break;
        }
        __asm volatile("dsb\n wfi\n cpsie i\n isb" ::: "memory");
    }
    board.idle = 0;
    __asm volatile("cpsie i" ::: "memory");
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
