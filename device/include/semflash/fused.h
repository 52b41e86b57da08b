/* Streaming engine: a chain of layers that runs row by row, without ever holding a feature map.
 *
 * Rows live in per-stage rings that are only as high as the kernel. Inside the engine a value is stored as code + 128
 * (0..255). A stage's ring keeps its padding in place: left and right of every row, and as whole rows above and below.
 *
 * The generator writes the tables and, for cores with the DSP extension, one row kernel per convolution in assembly;
 * the functions named *_c below are their plain C twins on the same tables: same bytes on every core.
 * Define SF_FUSED_PLAIN_C to use the twins everywhere. docs/fused.md explains the whole with one worked example.
 */
#ifndef SEMFLASH_FUSED_H
#define SEMFLASH_FUSED_H

#include <stddef.h>
#include <stdint.h>

#include "semflash/encoder.h"

#define SF_FUSED_ROWS_MAX       11  /* highest kernel */
#define SF_FUSED_STEPS_MAX      128 /* steps (two products each) of one patch */
#define SF_FUSED_QUAD_STEPS_MAX 160 /* of a patch of four pixels */

#if defined(__ARM_FEATURE_DSP) && defined(__thumb2__) && !defined(SF_FUSED_PLAIN_C)
#define SF_FUSED_KERNEL(assembly, twin) assembly
#define SF_FUSED_ASSEMBLY               1
#else
#define SF_FUSED_KERNEL(assembly, twin) twin
#define SF_FUSED_ASSEMBLY               0
#endif

/* What one kernel call works on. The generated assembly knows these offsets (32-bit pointers). */
typedef struct sf_fused_call {
    const uint32_t *weights;                /*  0 first word */
    const uint32_t *weights_end;            /*  4 one past the last word */
    uint8_t *out0;                          /*  8 even pixel (bytes: its last channel group) */
    uint8_t *out1;                          /* 12 odd pixel */
    int32_t *sums;                          /* 16 accumulators, 8 per group and pair of pixels */
    uint32_t pairs;                         /* 20 pairs of pixels, or fours, >= 1 */
    int32_t in_delta;                       /* 24 bytes from the even to the odd pixel of a pair */
    int32_t in_step;                        /* 28 bytes from pair to pair */
    int32_t out_step;                       /* 32 what to add to out0, out1 after a pair */
    const uint8_t *rows[SF_FUSED_ROWS_MAX]; /* 36 first byte of the first pixel in every kernel row */
} sf_fused_call_t;

/* Where a whole kernel puts finished pixels. */
#define SF_FUSED_BYTES 0u /* rows of bytes */
#define SF_FUSED_PAIRS 1u /* 16-bit pairs in patch order: the next layer accumulates them */
#define SF_FUSED_MAX   2u /* one byte per pair of pixels: the largest of both and of what is there */

typedef struct sf_fused_conv sf_fused_conv_t;
typedef void (*sf_fused_kernel_t)(const sf_fused_call_t *call, const sf_fused_conv_t *conv);

/* Requantisation of accumulators, see codegen/semflash_codegen/fused/requantise.py. */
typedef struct sf_fused_requant {
    uint8_t
        general; /* 1: TFLite's double rounding on multiplier and shift; 0: the proven cheap form, or mixed */
    uint8_t is_signed;
    uint8_t shift; /* S; mixed: of all channels, or 0: a coefficient */
    uint8_t mixed; /* 1: byte-mixed weights and the exact form, see codegen/semflash_codegen/fused/exact.py */
    uint8_t low;   /* bounds of the byte */
    uint8_t high;
    int16_t zero_point;        /* of the byte: TFLite's + 128 */
    const int32_t *multiplier; /* general: [out_channels] */
    const int8_t *exponent;    /* general: [out_channels], > 0 is a left shift */
    const uint32_t *cheap;     /* finish and depthwise: coefficients of all groups */
} sf_fused_requant_t;

struct sf_fused_conv {
    sf_fused_kernel_t kernel; /* whole: gather, multiply, requantise; else: accumulate one chunk */
    sf_fused_kernel_t finish; /* requantise accumulators */
    const uint32_t *weights;  /* whole: per group bias[4], steps, coefficients; else [chunk][group][steps] */
    const int32_t *bias;      /* not whole: [group][4] in slot order */
    uint32_t chunk_words;     /* words of one chunk over all groups */
    uint32_t weight_words;    /* whole: words of all groups */
    uint16_t steps;           /* of one patch */
    uint16_t padding;         /* steps of zeros behind them */
    uint16_t groups;          /* ceil(out_channels / 4) */
    uint16_t out_channels;
    uint16_t out_width;
    uint16_t out_rows;
    uint16_t run_bytes;    /* bytes of a kernel row that one patch takes */
    uint16_t column_bytes; /* input bytes from output pixel to output pixel */
    uint8_t kernel_rows;
    uint8_t chunks; /* patches per kernel row (not whole) */
    uint8_t gain;   /* bits by which inputs are shifted left (whole kernels) */
    uint8_t store;  /* of a whole kernel: SF_FUSED_BYTES, _PAIRS or _MAX */
    uint8_t pixels; /* computed at once: 2, or 4 with groups of two channels */
    sf_fused_requant_t requant;
};

typedef struct sf_fused_depthwise sf_fused_depthwise_t;
typedef void (*sf_fused_depthwise_kernel_t)(const sf_fused_call_t *call, const sf_fused_depthwise_t *layer);

struct sf_fused_depthwise {
    sf_fused_depthwise_kernel_t kernel; /* pairs counts pixels or pairs of them, out0 is their first byte */
    const uint32_t *weights;            /* per group, last first: bias[4], two words per tap, coefficients */
    uint32_t weight_words;
    uint16_t channels; /* of the output */
    uint16_t in_channels;
    uint16_t out_width;
    uint16_t column_bytes;
    uint8_t kernel_rows;
    uint8_t kernel_columns;
    uint8_t multiplier; /* output channels per input channel */
    uint8_t pixels;     /* computed at once: 1 or 2 */
    sf_fused_requant_t requant;
};

typedef struct sf_fused_pool {
    uint16_t channels;
    uint16_t in_width; /* without padding */
    uint16_t in_rows;
    uint16_t out_width;
    uint8_t kernel_rows;
    uint8_t kernel_columns;
    uint8_t stride_rows;
    uint8_t stride_columns;
    uint8_t pad_top;
    uint8_t pad_left;
    uint8_t count_padding;
    uint8_t low;
    uint8_t high;
} sf_fused_pool_t;

/* What one strip kernel call works on; offsets as the generated assembly knows them. */
typedef struct sf_fused_strip_call {
    const uint32_t *weights;      /*  0 of the first convolution */
    const uint32_t *weights_end;  /*  4 */
    const uint32_t *weights2;     /*  8 of the second one's kernel row */
    const uint32_t *weights2_end; /* 12 */
    int32_t *sums;                /* 16 accumulators of the second, 8 per group and pair of pixels */
    uint32_t pairs;               /* 20 pairs of the second one's pixels, >= 1 */
    int32_t in_delta;             /* 24 input bytes from the even to the odd pixel of a pair */
    const uint8_t *rows[SF_FUSED_ROWS_MAX]; /* 28 */
} sf_fused_strip_call_t;

typedef struct sf_fused_strip sf_fused_strip_t;
typedef void (*sf_fused_strip_kernel_t)(const sf_fused_strip_call_t *call, const sf_fused_strip_t *strip);

/* A convolution whose results the next one (kernel == stride) takes straight into its accumulators. */
struct sf_fused_strip {
    sf_fused_strip_kernel_t kernel;
    const sf_fused_conv_t *first;
    const sf_fused_conv_t *second;
    uint16_t second_rows;
    uint8_t second_kernel_columns;
};

typedef struct sf_fused_stage sf_fused_stage_t;

/* Position of a stage in its image; the first bytes of the state are one of these per stage. */
typedef struct sf_fused_count {
    uint16_t seen; /* input rows arrived, rows of padding included */
    uint16_t made; /* output rows finished */
    uint8_t slot;  /* ring slot of the latest row */
    uint8_t again; /* the latest row has more to give */
} sf_fused_count_t;

typedef struct sf_fused_graph sf_fused_graph_t;

typedef struct sf_fused_job {
    const sf_fused_stage_t *stage;
    const sf_fused_graph_t *graph;
    uint8_t *state;
    sf_fused_count_t *count;
} sf_fused_job_t;

#define SF_FUSED_ROW   1u /* an output row is complete */
#define SF_FUSED_AGAIN 2u /* call run again before the next input row */

struct sf_fused_stage {
    uint32_t (*run)(const sf_fused_job_t *job); /* the row in the latest slot has arrived */
    const void *layer;
    const uint32_t
        *table;        /* of the first convolution, copied to the state by reset; NULL: it stays in flash */
    uint32_t table_at; /* offset of the copy in the state */
    uint32_t table_words;
    uint32_t ring;      /* offset of the ring in the state */
    uint32_t scratch;   /* offset of accumulators and patches in the state */
    uint16_t pitch;     /* bytes from slot to slot */
    uint16_t left;      /* bytes of padding left of a row */
    uint16_t row_bytes; /* of a row without padding */
    uint16_t in_rows;
    uint16_t out_rows;
    uint8_t slots;
    uint8_t kernel_rows;
    uint8_t stride_rows;
    uint8_t pad_top;
    uint8_t pad_bottom;
    uint8_t pad_value;
    uint8_t spill; /* bytes right of a row that its producer may overwrite */
};

struct sf_fused_graph {
    const sf_fused_stage_t *stages;
    uint32_t stage_count;
    uint32_t state_bytes;
    uint32_t latent; /* offset of the last output row in the state */
    uint16_t row_bytes;
    uint16_t latent_width;
    uint16_t latent_channels;
};

/* Called by generated code alone, from sf_encoder_begin and sf_encoder_push_row, which have checked the arguments. */
SF_MUST_CHECK sf_status_t sf_fused_reset(const sf_fused_graph_t *graph, void *state);
SF_MUST_CHECK sf_status_t sf_fused_push_row(const sf_fused_graph_t *graph, void *state, uint16_t row,
                                            const int8_t *values, sf_latent_fn emit, void *context);

/* Where a stage's first convolution reads its table. */
const uint32_t *sf_fused_table(const sf_fused_job_t *job, const sf_fused_conv_t *conv);

/* Where the output row of a stage goes: its first real byte. */
uint8_t *sf_fused_out(const sf_fused_job_t *job);

/* Stages. */
uint32_t sf_fused_run_conv(const sf_fused_job_t *job);        /* whole kernel, ring in, row out */
uint32_t sf_fused_run_conv_pooled(const sf_fused_job_t *job); /* with a 2x2 maximum behind it */
uint32_t sf_fused_run_conv_chunked(const sf_fused_job_t *job);
uint32_t sf_fused_run_accumulate(const sf_fused_job_t *job); /* kernel == stride: one row in the ring */
uint32_t sf_fused_run_strip(const sf_fused_job_t *job);
uint32_t sf_fused_run_depthwise(const sf_fused_job_t *job);
uint32_t sf_fused_run_max(const sf_fused_job_t *job); /* running maximum: one row in the ring */
uint32_t sf_fused_run_max_ring(const sf_fused_job_t *job);
uint32_t sf_fused_run_average(const sf_fused_job_t *job);
uint32_t sf_fused_run_table(const sf_fused_job_t *job); /* layer: const uint8_t[256] */

/* Plain C twins of the generated kernels. */
void sf_fused_conv_c(const sf_fused_call_t *call, const sf_fused_conv_t *conv);
void sf_fused_quads_c(const sf_fused_call_t *call, const sf_fused_conv_t *conv);
void sf_fused_rows_c(const sf_fused_call_t *call, const sf_fused_conv_t *conv);
void sf_fused_accumulate_c(const sf_fused_call_t *call, const sf_fused_conv_t *conv);
void sf_fused_strip_c(const sf_fused_strip_call_t *call, const sf_fused_strip_t *strip);
void sf_fused_finish_c(const sf_fused_call_t *call, const sf_fused_conv_t *conv);
void sf_fused_depthwise_c(const sf_fused_call_t *call, const sf_fused_depthwise_t *layer);
void sf_fused_finish_general(const sf_fused_call_t *call, const sf_fused_conv_t *conv);

#endif
