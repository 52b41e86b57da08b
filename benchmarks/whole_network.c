/* Runs two images through a generated graph on an emulated STM32F405 (qemu-system-arm -M netduinoplus2) and prints
 *     R <SysTick ticks> <stack bytes> <output, hex>     one line per image
 * With -icount shift=0 and the 168 MHz processor clock, one instruction is 0.168 ticks. */
#include <string.h>

#include "sf_model.h"

#define REG(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define USART1_SR    REG(0x40011000u)
#define USART1_DR    REG(0x40011004u)
#define USART1_CR1   REG(0x4001100Cu)
#define SYST_CSR     REG(0xE000E010u)
#define SYST_RVR     REG(0xE000E014u)
#define SYST_CVR     REG(0xE000E018u)
#define CPACR        REG(0xE000ED88u)
#define IMAGES       2u
#define SPINS_MAX    20000000u
#define PAINT        0xA5A5A5A5u
#define PAINT_WORDS  2048u

extern uint32_t sf_data_load, sf_data_start, sf_data_end, sf_bss_start, sf_bss_end, sf_stack_top;
void sf_reset_handler(void);

static uint8_t state[SF_MODEL_STATE_BYTES] SF_ALIGN8;
static int8_t row[SF_MODEL_ROW_BYTES];
static int8_t output[SF_MODEL_LATENT_POSITIONS * SF_MODEL_LATENT_CHANNELS];
static uint32_t outputs, seed;
static volatile uint32_t wraps; /* of SysTick's 24 bits */

static void put(char c) {
    while ((USART1_SR & 0x80u) == 0u) {
    }
    USART1_DR = (uint8_t)c;
}

static void put_hex(uint32_t value, uint32_t digits) {
    while (digits-- > 0u) {
        put("0123456789abcdef"[(value >> (4u * digits)) & 15u]);
    }
}

static _Noreturn void stop(void) {
    __asm volatile("mov r0, #0x18\n ldr r1, =0x20026\n bkpt 0xab" ::: "r0", "r1", "memory");
    for (;;) {
    }
}

static sf_status_t collect(void *context, const int8_t *values) {
    (void)context;
    if (outputs + SF_MODEL_LATENT_CHANNELS > sizeof output) {
        return SF_ERR_KERNEL;
    }
    memcpy(output + outputs, values, SF_MODEL_LATENT_CHANNELS);
    outputs += SF_MODEL_LATENT_CHANNELS;
    return SF_OK;
}

static void tick(void) {
    wraps++;
}

/* SysTick counts down; its interrupt may come between the readings. */
static uint64_t now(void) {
    uint32_t high, low;
    do {
        high = wraps;
        low = 0xFFFFFFu - SYST_CVR;
    } while (high != wraps);
    return ((uint64_t)high << 24) | low;
}

/* Ticks of one image; noise goes in. */
static uint32_t run_image(sf_status_t *status) {
    uint32_t ticks = 0;
    outputs = 0;
    const sf_graph_t *graph = sf_model.stages[0].as.graph;
    *status = graph->reset(state);
    for (uint32_t y = 0; y < SF_MODEL_ROWS && *status >= SF_OK; y++) {
        for (uint32_t i = 0; i < sizeof row; i++) {
            seed = seed * 1664525u + 1013904223u;
            row[i] = (int8_t)(uint8_t)(seed >> 24);
        }
        const uint64_t before = now();
        *status = graph->push_row(state, (uint16_t)y, row, collect, NULL);
        ticks += (uint32_t)(now() - before);
    }
    return ticks;
}

static uint32_t *painted(void) {
    uint32_t here = 0;
    return (uint32_t *)((uintptr_t)&here & ~(uintptr_t)3u) - 16u - PAINT_WORDS;
}

static void report(sf_status_t status, uint32_t ticks, uint32_t stack) {
    put(status >= SF_OK ? 'R' : 'E');
    put(' ');
    put_hex(status >= SF_OK ? ticks : (uint32_t)status, 8);
    put(' ');
    put_hex(stack, 8);
    put(' ');
    for (uint32_t i = 0; i < sizeof output; i++) {
        put_hex((uint8_t)output[i], 2);
    }
    put('\n');
}

static void run(void) {
    USART1_CR1 = (1u << 13) | (1u << 3);
    SYST_RVR = 0xFFFFFFu;
    SYST_CVR = 0u;
    SYST_CSR = 7u;
    for (uint32_t i = 0; i < SPINS_MAX && SYST_CVR == 0u; i++) {
    }
    uint32_t *const low = painted();
    for (uint32_t t = 0; t < IMAGES; t++) {
        sf_status_t status = SF_OK;
        for (uint32_t i = 0; i < PAINT_WORDS; i++) {
            ((volatile uint32_t *)low)[i] = PAINT;
        }
        const uint32_t ticks = run_image(&status);
        uint32_t untouched = 0;
        while (untouched < PAINT_WORDS && ((volatile uint32_t *)low)[untouched] == PAINT) {
            untouched++;
        }
        report(status, ticks, (PAINT_WORDS - untouched) * 4u);
    }
}

void sf_reset_handler(void) {
    const uint32_t *from = &sf_data_load;
    for (uint32_t *to = &sf_data_start; to < &sf_data_end; to++) {
        *to = *from++;
    }
    for (uint32_t *to = &sf_bss_start; to < &sf_bss_end; to++) {
        *to = 0u;
    }
    CPACR |= 0xFu << 20;
    __asm volatile("dsb\n isb");
    run();
    stop();
}

static void fault(void) {
    put('F');
    put('\n');
    stop();
}

typedef void (*vector_t)(void);
__attribute__((section(".isr_vector"), used)) static const struct {
    uint32_t *stack;
    vector_t vectors[15];
} vectors = {&sf_stack_top,
             {sf_reset_handler, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault,
              fault, fault, tick}};
