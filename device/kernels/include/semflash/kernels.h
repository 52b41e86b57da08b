/* int8 layer kernels: one parameter struct and one or two functions per operator.
 *
 * Formats. Activations are int8, NHWC with N = 1, real = scale * (value - zero_point). Weights are int8, symmetric.
 * Bias is int32 with scale input_scale * weight_scale. multiplier/shift are TFLite's: a Q31 multiplier in [2^30, 2^31)
 * (or 0) and an exponent in [-31, 30], one pair per output channel where a pointer is given; the requantisation is
 * gemmlowp's double rounding, so every kernel agrees with TFLite-Micro's reference kernels bit for bit.
 * act_min <= act_max clamp the output and lie in [-128, 127]. Zero points lie in [-128, 127].
 *
 * The code generator proves beforehand that no accumulator leaves int32 (before and after the left shift).
 *
 * sf_<op>()          plain C, any shape: the reference on every core, and the twin of anything faster.
 * sf_<op>_cmsis_nn() the same through CMSIS-NN (device/kernels/cmsis_nn.c): equal to the bit. Needs `scratch` of
 *                    sf_<op>_cmsis_nn_scratch() bytes, 8-byte aligned; SF_ERR_MEMORY when it is smaller,
 *                    SF_ERR_KERNEL when CMSIS-NN refuses the arguments.
 *
 * in and out must not overlap, but sf_add, sf_add_broadcast, sf_linear_add, sf_mul, sf_clamp, sf_lookup, sf_prelu and
 * sf_softmax may write over an input of the output's size. No heap, no mutable file-scope state.
 */
#ifndef SEMFLASH_KERNELS_H
#define SEMFLASH_KERNELS_H

#include <stdbool.h>
#include <stdint.h>

#include "semflash/status.h"

typedef struct sf_shape {
    uint16_t h, w, c;
} sf_shape_t;

/* A window that slides over an image. Pixels outside the image count as the input zero point (convolutions) or
 * do not count at all (pools). */
typedef struct sf_window {
    uint8_t h, w;
    uint8_t stride_h, stride_w;
    uint8_t dilation_h, dilation_w; /* 1: none; pools have none */
    uint8_t pad_top, pad_left;
} sf_window_t;

/* CONV_2D: weights [out.c][window.h][window.w][in.c].
 * DEPTHWISE_CONV_2D: weights [window.h][window.w][out.c], out.c = in.c * multiplier, channel o reads input
 * channel o / multiplier. */
typedef struct sf_conv2d {
    sf_shape_t in, out;
    sf_window_t window;
    int16_t input_zero_point, output_zero_point;
    int16_t act_min, act_max;
    const int8_t *weights;
    const int32_t *bias;       /* [out.c] */
    const int32_t *multiplier; /* [out.c] */
    const int32_t *shift;      /* [out.c] */
} sf_conv2d_t;

/* MAX_POOL_2D and AVERAGE_POOL_2D; the average divides by the pixels inside the image and rounds half away from 0. */
typedef struct sf_pool2d {
    sf_shape_t in, out;
    sf_window_t window;
    int16_t act_min, act_max;
} sf_pool2d_t;

/* FULLY_CONNECTED on `rows` vectors: weights [outputs][inputs]; one multiplier and shift for all outputs. */
typedef struct sf_fully_connected {
    uint16_t rows;
    uint16_t outputs;
    uint32_t inputs;
    int16_t input_zero_point, output_zero_point;
    int16_t act_min, act_max;
    int32_t multiplier, shift;
    const int8_t *weights;
    const int32_t *bias; /* [outputs] */
} sf_fully_connected_t;

/* The same with byte-mixed weights, for cores with the DSP extension; the table: semflash_codegen's operators/dense.py. */
typedef struct sf_mixed_dense {
    uint16_t rows;
    uint16_t outputs;
    uint32_t inputs;
    uint16_t steps; /* of two inputs, even */
    uint8_t shift;  /* >= 1 */
    uint8_t low;    /* bounds of code + 128 */
    uint8_t high;
    int32_t multiplier;
    int32_t rounding; /* and zero point, before the shift */
    const int32_t *table;
} sf_mixed_dense_t;

/* ADD where one linear form gives TFLite's bytes for all inputs: code + 128 = clamp((a x1 + b x2 + c) >> shift). */
typedef struct sf_linear_add {
    uint32_t size;
    int32_t a, b, c;
    uint8_t shift;
    uint8_t low, high; /* bounds of code + 128 */
} sf_linear_add_t;

/* ADD of two tensors of one shape, with TFLite's common left shift of 20 bits. Shifts are <= 0. */
typedef struct sf_add {
    uint32_t size;
    int16_t zero_point_a, zero_point_b, output_zero_point;
    int16_t act_min, act_max;
    int32_t multiplier_a, shift_a;
    int32_t multiplier_b, shift_b;
    int32_t output_multiplier, output_shift;
} sf_add_t;

/* PAD and PADV2: rows, columns and channels of `value` around the image. */
typedef struct sf_pad {
    sf_shape_t in, out;
    uint16_t top, left, front;
    int8_t value;
} sf_pad_t;

/* RELU and RELU6 as layers of their own: requantise, then clamp. */
typedef struct sf_clamp {
    uint32_t size;
    int16_t input_zero_point, output_zero_point;
    int16_t act_min, act_max;
    int32_t multiplier, shift;
} sf_clamp_t;

/* How far to go in an operand per row, column and channel of the output; 0 repeats it (broadcasting). */
typedef struct sf_strides {
    uint32_t h, w, c;
} sf_strides_t;

/* MUL. */
typedef struct sf_mul {
    sf_shape_t out;
    sf_strides_t strides_a, strides_b;
    int16_t zero_point_a, zero_point_b, output_zero_point;
    int16_t act_min, act_max;
    int32_t multiplier, shift;
    const int8_t *constant; /* operand b of sf_mul_constant, else NULL */
} sf_mul_t;

/* PRELU: value below zero times alpha, which may be repeated along rows, columns or channels. */
typedef struct sf_prelu {
    sf_shape_t out;
    sf_strides_t strides; /* of alpha */
    int16_t input_zero_point, alpha_zero_point, output_zero_point;
    int32_t multiplier, shift;             /* of values >= 0 */
    int32_t alpha_multiplier, alpha_shift; /* of value * alpha */
    const int8_t *alpha;
} sf_prelu_t;

/* MEAN over count and tail: in [outer][count][inner][tail], out [outer][inner]. The multiplier holds
 * 1 / (count tail). */
typedef struct sf_mean {
    uint32_t outer, count, inner, tail;
    int16_t input_zero_point, output_zero_point;
    int32_t multiplier, shift;
} sf_mean_t;

/* SOFTMAX of `rows` vectors of `depth` <= 4095 values, out with scale 1/256 and zero point -128.
 * multiplier / 2^31 * 2^left_shift takes a difference of two inputs to Q5; differences below difference_min count
 * as 0 (and their product would leave int32). Rows whose exponentials sum to 512 or more give -128 throughout. */
typedef struct sf_softmax {
    uint32_t rows, depth;
    int32_t multiplier, left_shift;
    int32_t difference_min;
} sf_softmax_t;

/* Any function of one value: out = table[in + 128]. Values below `lowest` are outside the function's domain: they
 * end the image with SF_ERR_KERNEL, where TFLite-Micro refuses to go on. */
typedef struct sf_lookup {
    uint32_t size;
    int16_t lowest;
    const int8_t *table; /* [256] */
} sf_lookup_t;

/* CONCATENATION of `count` inputs: for each of `outer` positions, runs[i] bytes of input i. */
typedef struct sf_concatenation {
    uint32_t outer, count;
    const int32_t *runs; /* [count] */
} sf_concatenation_t;

/* RESIZE_BILINEAR: an output position p lies at input position (p * scale + offset) / 1024. */
typedef struct sf_resize {
    sf_shape_t in, out;
    int32_t scale_h, offset_h, scale_w, offset_w;
} sf_resize_t;

/* CONV_2D in groups: weights [out.c][window.h][window.w][depth]; in.c / depth groups, of which each gives the
 * same number of output channels. */
typedef struct sf_grouped_conv2d {
    sf_conv2d_t conv;
    uint16_t depth;
} sf_grouped_conv2d_t;

/* One operand of sf_add_broadcast: where it lies, and how it comes to the common scale. sign is 1 or -1. */
typedef struct sf_operand {
    sf_strides_t strides;
    int16_t zero_point;
    int16_t sign;
    int32_t multiplier, shift;
} sf_operand_t;

/* ADD and SUB of operands that are repeated. */
typedef struct sf_add_broadcast {
    sf_shape_t out;
    sf_operand_t a, b;
    int16_t output_zero_point;
    int16_t act_min, act_max;
    int32_t output_multiplier, output_shift;
    const int8_t *constant; /* operand b of sf_add_constant, else NULL */
} sf_add_broadcast_t;

/* REDUCE_MAX, or REDUCE_MIN where `smallest`: in [outer][count][inner][tail], out [outer][inner]. */
typedef struct sf_reduce {
    uint32_t outer, count, inner, tail;
    bool smallest;
} sf_reduce_t;

#define SF_MOVE_RANK 6

/* Values that move: out[i0]..[i5] = in[first + i0 * strides[0] + .. + i5 * strides[5]]; out is dense, of the shape
 * `counts`. No position leaves the input. */
typedef struct sf_move {
    uint32_t counts[SF_MOVE_RANK];
    int32_t strides[SF_MOVE_RANK];
    int32_t first;
} sf_move_t;

/* RESIZE_NEAREST_NEIGHBOR: output row y is input row rows[y], output column x is input column columns[x]. */
typedef struct sf_resize_nearest {
    sf_shape_t in, out;
    const uint16_t *rows;    /* [out.h] */
    const uint16_t *columns; /* [out.w] */
} sf_resize_nearest_t;

SF_MUST_CHECK sf_status_t sf_conv2d(const sf_conv2d_t *layer, const int8_t *in, int8_t *out);
SF_MUST_CHECK sf_status_t sf_depthwise_conv2d(const sf_conv2d_t *layer, const int8_t *in, int8_t *out);
SF_MUST_CHECK sf_status_t sf_max_pool2d(const sf_pool2d_t *layer, const int8_t *in, int8_t *out);
SF_MUST_CHECK sf_status_t sf_average_pool2d(const sf_pool2d_t *layer, const int8_t *in, int8_t *out);
SF_MUST_CHECK sf_status_t sf_fully_connected(const sf_fully_connected_t *layer, const int8_t *in,
                                             int8_t *out);
SF_MUST_CHECK sf_status_t sf_add(const sf_add_t *layer, const int8_t *a, const int8_t *b, int8_t *out);
SF_MUST_CHECK sf_status_t sf_pad(const sf_pad_t *layer, const int8_t *in, int8_t *out);
SF_MUST_CHECK sf_status_t sf_clamp(const sf_clamp_t *layer, const int8_t *in, int8_t *out);

SF_MUST_CHECK sf_status_t sf_mul(const sf_mul_t *layer, const int8_t *a, const int8_t *b, int8_t *out);
SF_MUST_CHECK sf_status_t sf_mul_constant(const sf_mul_t *layer, const int8_t *in, int8_t *out);
SF_MUST_CHECK sf_status_t sf_prelu(const sf_prelu_t *layer, const int8_t *in, int8_t *out);
SF_MUST_CHECK sf_status_t sf_mean(const sf_mean_t *layer, const int8_t *in, int8_t *out);
SF_MUST_CHECK sf_status_t sf_softmax(const sf_softmax_t *layer, const int8_t *in, int8_t *out);
SF_MUST_CHECK sf_status_t sf_lookup(const sf_lookup_t *layer, const int8_t *in, int8_t *out);
SF_MUST_CHECK sf_status_t sf_concatenation(const sf_concatenation_t *layer, const int8_t *const *inputs,
                                           int8_t *out);
/* TRANSPOSE_CONV: weights [out.c][window.h][window.w][in.c]; the window slides over the output. */
SF_MUST_CHECK sf_status_t sf_transpose_conv2d(const sf_conv2d_t *layer, const int8_t *in, int8_t *out);
SF_MUST_CHECK sf_status_t sf_resize_bilinear(const sf_resize_t *layer, const int8_t *in, int8_t *out);
SF_MUST_CHECK sf_status_t sf_grouped_conv2d(const sf_grouped_conv2d_t *layer, const int8_t *in, int8_t *out);
SF_MUST_CHECK sf_status_t sf_add_broadcast(const sf_add_broadcast_t *layer, const int8_t *a, const int8_t *b,
                                           int8_t *out);
SF_MUST_CHECK sf_status_t sf_add_constant(const sf_add_broadcast_t *layer, const int8_t *in, int8_t *out);
SF_MUST_CHECK sf_status_t sf_reduce(const sf_reduce_t *layer, const int8_t *in, int8_t *out);
SF_MUST_CHECK sf_status_t sf_move(const sf_move_t *layer, const int8_t *in, int8_t *out);
SF_MUST_CHECK sf_status_t sf_resize_nearest(const sf_resize_nearest_t *layer, const int8_t *in, int8_t *out);

uint32_t sf_mixed_dense_scratch(const sf_mixed_dense_t *layer);
SF_MUST_CHECK sf_status_t sf_mixed_dense(const sf_mixed_dense_t *layer, const int8_t *in, int8_t *out,
                                         void *scratch, uint32_t scratch_bytes);

SF_MUST_CHECK sf_status_t sf_linear_add(const sf_linear_add_t *layer, const int8_t *a, const int8_t *b,
                                        int8_t *out);

/* A chain of layers through the streaming engine (semflash/fused.h), from one tensor to another. */
struct sf_fused_graph;
uint32_t sf_fused_segment_scratch(const struct sf_fused_graph *graph);
SF_MUST_CHECK sf_status_t sf_fused_segment(const struct sf_fused_graph *graph, const int8_t *in, int8_t *out,
                                           void *scratch, uint32_t scratch_bytes);

/* Through CMSIS-NN. The scratch functions give bytes for the core this is compiled for (with or without DSP). */
uint32_t sf_conv2d_cmsis_nn_scratch(const sf_conv2d_t *layer);
uint32_t sf_depthwise_conv2d_cmsis_nn_scratch(const sf_conv2d_t *layer);
uint32_t sf_average_pool2d_cmsis_nn_scratch(const sf_pool2d_t *layer);
SF_MUST_CHECK sf_status_t sf_conv2d_cmsis_nn(const sf_conv2d_t *layer, const int8_t *in, int8_t *out,
                                             void *scratch, uint32_t scratch_bytes);
SF_MUST_CHECK sf_status_t sf_depthwise_conv2d_cmsis_nn(const sf_conv2d_t *layer, const int8_t *in,
                                                       int8_t *out, void *scratch, uint32_t scratch_bytes);
SF_MUST_CHECK sf_status_t sf_average_pool2d_cmsis_nn(const sf_pool2d_t *layer, const int8_t *in, int8_t *out,
                                                     void *scratch, uint32_t scratch_bytes);
SF_MUST_CHECK sf_status_t sf_max_pool2d_cmsis_nn(const sf_pool2d_t *layer, const int8_t *in, int8_t *out);
SF_MUST_CHECK sf_status_t sf_fully_connected_cmsis_nn(const sf_fully_connected_t *layer, const int8_t *in,
                                                      int8_t *out);

#endif
