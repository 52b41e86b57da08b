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
 * in and out must not overlap. No heap, no mutable file-scope state.
 */
#ifndef SEMFLASH_KERNELS_H
#define SEMFLASH_KERNELS_H

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

SF_MUST_CHECK sf_status_t sf_conv2d(const sf_conv2d_t *layer, const int8_t *in, int8_t *out);
SF_MUST_CHECK sf_status_t sf_depthwise_conv2d(const sf_conv2d_t *layer, const int8_t *in, int8_t *out);
SF_MUST_CHECK sf_status_t sf_max_pool2d(const sf_pool2d_t *layer, const int8_t *in, int8_t *out);
SF_MUST_CHECK sf_status_t sf_average_pool2d(const sf_pool2d_t *layer, const int8_t *in, int8_t *out);
SF_MUST_CHECK sf_status_t sf_fully_connected(const sf_fully_connected_t *layer, const int8_t *in,
                                             int8_t *out);
SF_MUST_CHECK sf_status_t sf_add(const sf_add_t *layer, const int8_t *a, const int8_t *b, int8_t *out);
SF_MUST_CHECK sf_status_t sf_pad(const sf_pad_t *layer, const int8_t *in, int8_t *out);
SF_MUST_CHECK sf_status_t sf_clamp(const sf_clamp_t *layer, const int8_t *in, int8_t *out);

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
