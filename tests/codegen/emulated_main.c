/* Runs the pattern images of tests/codegen/test_emulated.py on an emulated STM32F405 and prints latents and counts:
 *     T <SysTick ticks> <latent, hex>     one line per image
 * With -icount shift=0 and the 168 MHz processor clock, one instruction is 0.168 ticks. */
#include "harness.h"

#include "sf_model.h"

#define REG(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define USART1_SR    REG(0x40011000u)
#define USART1_DR    REG(0x40011004u)
#define USART1_CR1   REG(0x4001100Cu)
#define SYST_CSR     REG(0xE000E010u)
#define SYST_RVR     REG(0xE000E014u)
#define SYST_CVR     REG(0xE000E018u)
#define CPACR        REG(0xE000ED88u)
#define IMAGES       8u
#define SPINS_MAX    20000000u

extern uint32_t sf_data_load, sf_data_start, sf_data_end, sf_bss_start, sf_bss_end, sf_stack_top;
void sf_reset_handler(void);

static uint8_t state[SF_MODEL_STATE_BYTES] SF_ALIGN8;
static int8_t image[SF_MODEL_ROWS * SF_MODEL_ROW_BYTES];
static int8_t latent[SF_MODEL_LATENT_POSITIONS * SF_MODEL_LATENT_CHANNELS];

static void put(char c) {
    while ((USART1_SR & 0x80u) == 0u) {
    }
    USART1_DR = (uint8_t)c;
}

static void put_text(const char *text) {
    while (*text != '\0') {
        put(*text++);
    }
}

static void put_hex(uint32_t value, uint32_t digits) {
    while (digits-- > 0u) {
        put("0123456789abcdef"[(value >> (4u * digits)) & 15u]);
    }
}

/* Image t: -128, 127, a checkerboard, a ramp, then bytes of a linear congruential generator seeded with t. */
static void make_image(uint32_t t) {
    uint32_t seed = t;
    for (uint32_t i = 0; i < sizeof image; i++) {
        uint32_t value = 0x80u;
        if (t == 1u) {
            value = 0x7Fu;
        } else if (t == 2u) {
            value = (i & 1u) != 0u ? 0x7Fu : 0x80u;
        } else if (t == 3u) {
            value = i * 37u + 11u;
        } else if (t > 3u) {
            seed = seed * 1664525u + 1013904223u;
            value = seed >> 24;
        }
        image[i] = (int8_t)(uint8_t)value;
    }
}

static _Noreturn void stop(void) {
    __asm volatile("mov r0, #0x18\n ldr r1, =0x20026\n bkpt 0xab" ::: "r0", "r1", "memory");
    for (;;) {
    }
}

static void run(void) {
    USART1_CR1 = (1u << 13) | (1u << 3);
    SYST_RVR = 0xFFFFFFu;
    SYST_CVR = 0u;
    SYST_CSR = 5u;
    for (uint32_t i = 0; i < SPINS_MAX && SYST_CVR == 0u; i++) {
    }
    for (uint32_t t = 0; t < IMAGES; t++) {
        make_image(t);
        const uint32_t before = SYST_CVR;
        const int status = harness_run(state, image, latent);
        const uint32_t ticks = (before - SYST_CVR) & 0xFFFFFFu;
        put_text(status == 0 ? "T " : "E ");
        put_hex(status == 0 ? ticks : (uint32_t)status, 8);
        put(' ');
        for (uint32_t i = 0; i < sizeof latent; i++) {
            put_hex((uint8_t)latent[i], 2);
        }
        put('\n');
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
    put_text("FAULT\n");
    stop();
}

typedef void (*vector_t)(void);
__attribute__((section(".isr_vector"), used)) static const struct {
    uint32_t *stack;
    vector_t vectors[15];
} vectors = {&sf_stack_top, {sf_reset_handler, fault, fault, fault, fault, fault}};
