/* FULLY_CONNECTED with byte-mixed weights: four outputs at a time, two in each halfword (see
 * codegen/semflash_codegen/fused/mixed.py). The table of four outputs: what the sums begin with, then two words a step. */
#include "semflash/fused.h"

#include "semflash/fused_math.h"
#include "semflash/kernels.h"

/* What the kernel needs beside table, inputs and output; the assembly knows the offsets. */
typedef struct call {
    uint32_t groups;     /*  0 of four outputs, >= 1 */
    uint32_t steps;      /*  4 an even number, >= 2 */
    int32_t multiplier;  /*  8 */
    int32_t rounding;    /* 12 */
    uint32_t shift;      /* 16 */
    uint32_t low;        /* 20 lower bound in every byte */
    uint32_t above_high; /* 24 255 minus the upper bound in every byte */
} call_t;

#if SF_FUSED_ASSEMBLY
/* Two steps: a word of inputs and two of weights each. */
#define UNIT(n)                                                                                              \
    "ldr.w r1, [r12, #" #n "*8]\n"                                                                           \
    "ldr.w r3, [r12, #" #n "*8+4]\n"                                                                         \
    "ldr.w r8, [r0, #" #n "*16]\n"                                                                           \
    "ldr.w r9, [r0, #" #n "*16+4]\n"                                                                         \
    "ldr.w r10, [r0, #" #n "*16+8]\n"                                                                        \
    "ldr.w r11, [r0, #" #n "*16+12]\n"                                                                       \
    "smlad r5, r1, r8, r5\nsxtb16.w r8, r8\nsmlad r4, r1, r8, r4\n"                                          \
    "smlad r7, r1, r9, r7\nsxtb16.w r9, r9\nsmlad r6, r1, r9, r6\n"                                          \
    "smlad r5, r3, r10, r5\nsxtb16.w r10, r10\nsmlad r4, r3, r10, r4\n"                                      \
    "smlad r7, r3, r11, r7\nsxtb16.w r11, r11\nsmlad r6, r3, r11, r6\n"
#define SCALE(sum)                                                                                           \
    "smmlar r9, " sum ", r1, r3\nadd.w " sum ", r9, " sum ", asr #31\nasr.w " sum ", " sum ", r8\nusat " sum \
    ", #8, " sum "\n"

/* r0 table, r12 inputs, lr their end, r4-r7 sums (first output, first and second mixed, third, both mixed), r2 output.
 * Sixteen steps a turn; the first turn is entered in the middle where their number is no multiple: 36 bytes a step. */
__attribute__((naked, noinline)) static void four_outputs(__attribute__((unused)) const uint32_t *table,
                                                          __attribute__((unused)) const uint32_t *inputs,
                                                          __attribute__((unused)) uint8_t *out,
                                                          __attribute__((unused)) const call_t *call) {
    __asm__ volatile("push {r4-r11, lr}\n"
                     "sub sp, sp, #28\n"
                     "ldrd r4, r5, [r3]\n"
                     "str r4, [sp, #4]\n"
                     "str r3, [sp, #20]\n"
                     "add.w r6, r1, r5, lsl #2\n"
                     "str r6, [sp, #8]\n"
                     "rsb.w r6, r5, #0\n"
                     "and.w r6, r6, #15\n"
                     "sub.w r1, r1, r6, lsl #2\n"
                     "str r1, [sp]\n"
                     "lsl.w r7, r6, #3\n"
                     "str r7, [sp, #12]\n"
                     "adr r8, 3f\n"
                     "movs r7, #36\n"
                     "mla r8, r6, r7, r8\n"
                     "orr.w r8, r8, #1\n"
                     "str.w r8, [sp, #16]\n"
                     "1:\n"
                     "ldmia.w r0!, {r4-r7}\n"
                     "ldr.w r12, [sp]\n"
                     "ldr.w lr, [sp, #8]\n"
                     "ldr.w r3, [sp, #12]\n"
                     "ldr.w r1, [sp, #16]\n"
                     "sub.w r0, r0, r3\n"
                     "bx r1\n"
                     ".balign 4\n"
                     "3:\n" UNIT(0) UNIT(1) UNIT(2) UNIT(3));
    __asm__ volatile(UNIT(4) UNIT(5) UNIT(6) UNIT(7));
    __asm__ volatile("add.w r12, r12, #64\n"
                     "add.w r0, r0, #128\n"
                     "cmp.w r12, lr\n"
                     "bne.w 3b\n"
                     "sub.w r5, r5, r4\n"
                     "sub.w r7, r7, r6\n"
                     "asr.w r5, r5, #7\n"
                     "asr.w r7, r7, #7\n"
                     "lsl.w r4, r4, #1\n"
                     "lsl.w r6, r6, #1\n"
                     "ldr.w r12, [sp, #20]\n"
                     "ldr.w r1, [r12, #8]\n"
                     "ldr.w r3, [r12, #12]\n"
                     "ldr.w r8, [r12, #16]\n" SCALE("r4") SCALE("r5") SCALE("r6") SCALE("r7"));
    __asm__ volatile("orr.w r4, r4, r5, lsl #8\n"
                     "orr.w r6, r6, r7, lsl #8\n"
                     "orr.w r4, r4, r6, lsl #16\n"
                     "ldr.w r1, [r12, #20]\n"
                     "ldr.w r3, [r12, #24]\n"
                     "uqsub8 r4, r4, r1\n"
                     "add.w r4, r4, r1\n"
                     "uqadd8 r4, r4, r3\n"
                     "sub.w r4, r4, r3\n"
                     "eor.w r4, r4, #0x80808080\n"
                     "ldr.w r1, [sp, #4]\n"
                     "str.w r4, [r2], #4\n"
                     "subs.w r1, r1, #1\n"
                     "str.w r1, [sp, #4]\n"
                     "bne.w 1b\n"
                     "add sp, sp, #28\n"
                     "pop {r4-r11, pc}\n");
}
#else
static uint8_t scaled(int32_t twice, const call_t *call) {
    const int32_t value =
        sf_byte(sf_scale_exactly(twice, call->multiplier, call->rounding, 1) >> call->shift);
    const int32_t low = (int32_t)(call->low & 0xFFu);
    const int32_t high = 255 - (int32_t)(call->above_high & 0xFFu);
    return (uint8_t)((value < low ? low : value > high ? high : value) ^ 128);
}

static void four_outputs(const uint32_t *table, const uint32_t *inputs, uint8_t *out, const call_t *call) {
    for (uint32_t group = call->groups; group > 0u; group--) {
        int32_t sums[4] = {(int32_t)table[0], (int32_t)table[1], (int32_t)table[2], (int32_t)table[3]};
        table += 4;
        for (uint32_t step = 0; step < call->steps; step++, table += 2) {
            for (uint32_t i = 0; i < 2u; i++) {
                sums[2u * i] = sf_multiply_add(inputs[step], sf_signed_even(table[i]), sums[2u * i]);
                sums[2u * i + 1u] = sf_multiply_add(inputs[step], table[i], sums[2u * i + 1u]);
            }
        }
        for (uint32_t i = 0; i < 4u; i += 2u) {
            *out++ = scaled((int32_t)((uint32_t)sums[i] << 1), call);
            *out++ = scaled((int32_t)((uint32_t)sums[i + 1u] - (uint32_t)sums[i]) >> 7, call);
        }
    }
}
#endif

/* int8 codes to pairs of code + 128: bytes 0 and 2 of every four, then bytes 1 and 3; zeros behind the last. */
static void spread(uint32_t *pairs, const int8_t *in, uint32_t n) {
    const uint8_t *bytes = (const uint8_t *)in;
    for (; n >= 4u; n -= 4u, bytes += 4, pairs += 2) {
        const uint32_t word = sf_word(bytes) ^ 0x80808080u;
        pairs[0] = sf_even(word);
        pairs[1] = sf_odd(word);
    }
    if (n > 0u) {
        uint32_t word = 0;
        for (uint32_t i = 0; i < n; i++) {
            word |= (uint32_t)(bytes[i] ^ 0x80u) << (8u * i);
        }
        pairs[0] = sf_even(word);
        pairs[1] = sf_odd(word);
    }
}

uint32_t sf_mixed_dense_scratch(const sf_mixed_dense_t *layer) {
    return 4u * layer->steps;
}

sf_status_t sf_mixed_dense(const sf_mixed_dense_t *layer, const int8_t *in, int8_t *out, void *scratch,
                           uint32_t scratch_bytes) {
    if (scratch_bytes < sf_mixed_dense_scratch(layer)) {
        return SF_ERR_MEMORY;
    }
    uint32_t *pairs = (uint32_t *)scratch;
    const uint32_t *table = (const uint32_t *)(const void *)layer->table;
    const uint32_t whole = layer->outputs / 4u;
    const uint32_t left = layer->outputs % 4u;
    call_t call = {whole,
                   layer->steps,
                   layer->multiplier,
                   layer->rounding,
                   layer->shift,
                   layer->low * 0x01010101u,
                   (255u - layer->high) * 0x01010101u};
    for (uint32_t row = layer->rows; row > 0u; row--, in += layer->inputs, out += layer->outputs) {
        spread(pairs, in, layer->inputs);
        call.groups = whole;
        if (whole > 0u) {
            four_outputs(table, pairs, (uint8_t *)out, &call);
        }
        if (left > 0u) {
            uint8_t last[4];
            call.groups = 1;
            four_outputs(table + (size_t)whole * (4u + 2u * layer->steps), pairs, last, &call);
            memcpy(out + 4u * whole, last, left);
        }
    }
    return SF_OK;
}
