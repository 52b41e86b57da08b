/* The kernels through CMSIS-NN: translate semflash's parameter structs and call ARM's functions.
 * Compiled where CMSIS-NN's headers are on the include path; without them this file is empty, and code that was
 * generated for CMSIS-NN does not link. On a host compiler CMSIS-NN needs -D__GNUC_PYTHON__ (its own switch for
 * builds without CMSIS-Core).
 * CMSIS-NN's structs point to non-const tables that it only reads: the casts below drop const for that reason. */
#include "semflash/kernels.h"

#if __has_include("arm_nnfunctions.h")

#include "arm_nnfunctions.h"

static cmsis_nn_dims dims(sf_shape_t shape) {
    const cmsis_nn_dims d = {.n = 1, .h = shape.h, .w = shape.w, .c = shape.c};
    return d;
}

static cmsis_nn_dims window_dims(const sf_window_t *window, int32_t n, int32_t c) {
    const cmsis_nn_dims d = {.n = n, .h = window->h, .w = window->w, .c = c};
    return d;
}

static cmsis_nn_context context(void *scratch, uint32_t bytes) {
    const cmsis_nn_context ctx = {.buf = scratch, .size = (int32_t)bytes};
    return ctx;
}

static cmsis_nn_per_channel_quant_params per_channel(const sf_conv2d_t *layer) {
    const cmsis_nn_per_channel_quant_params q = {(int32_t *)(uintptr_t)layer->multiplier,
                                                 (int32_t *)(uintptr_t)layer->shift};
    return q;
}

static cmsis_nn_conv_params conv_params(const sf_conv2d_t *layer) {
    const sf_window_t *win = &layer->window;
    const cmsis_nn_conv_params p = {.input_offset = -layer->input_zero_point,
                                    .output_offset = layer->output_zero_point,
                                    .stride = {.w = win->stride_w, .h = win->stride_h},
                                    .padding = {.w = win->pad_left, .h = win->pad_top},
                                    .dilation = {.w = win->dilation_w, .h = win->dilation_h},
                                    .activation = {.min = layer->act_min, .max = layer->act_max}};
    return p;
}

static cmsis_nn_dw_conv_params depthwise_params(const sf_conv2d_t *layer) {
    const sf_window_t *win = &layer->window;
    const cmsis_nn_dw_conv_params p = {.input_offset = -layer->input_zero_point,
                                       .output_offset = layer->output_zero_point,
                                       .ch_mult = layer->out.c / layer->in.c,
                                       .stride = {.w = win->stride_w, .h = win->stride_h},
                                       .padding = {.w = win->pad_left, .h = win->pad_top},
                                       .dilation = {.w = win->dilation_w, .h = win->dilation_h},
                                       .activation = {.min = layer->act_min, .max = layer->act_max}};
    return p;
}

static cmsis_nn_pool_params pool_params(const sf_pool2d_t *layer) {
    const sf_window_t *win = &layer->window;
    const cmsis_nn_pool_params p = {.stride = {.w = win->stride_w, .h = win->stride_h},
                                    .padding = {.w = win->pad_left, .h = win->pad_top},
                                    .activation = {.min = layer->act_min, .max = layer->act_max}};
    return p;
}

static sf_status_t status_of(arm_cmsis_nn_status status) {
    return status == ARM_CMSIS_NN_SUCCESS ? SF_OK : SF_ERR_KERNEL;
}

uint32_t sf_conv2d_cmsis_nn_scratch(const sf_conv2d_t *layer) {
    const cmsis_nn_conv_params params = conv_params(layer);
    const cmsis_nn_dims in = dims(layer->in);
    const cmsis_nn_dims filter = window_dims(&layer->window, layer->out.c, layer->in.c);
    const cmsis_nn_dims out = dims(layer->out);
    return (uint32_t)arm_convolve_wrapper_s8_get_buffer_size(&params, &in, &filter, &out);
}

sf_status_t sf_conv2d_cmsis_nn(const sf_conv2d_t *layer, const int8_t *in, int8_t *out, void *scratch,
                               uint32_t scratch_bytes) {
    if (scratch_bytes < sf_conv2d_cmsis_nn_scratch(layer)) {
        return SF_ERR_MEMORY;
    }
    const cmsis_nn_context ctx = context(scratch, scratch_bytes);
    const cmsis_nn_conv_params params = conv_params(layer);
    const cmsis_nn_per_channel_quant_params quant = per_channel(layer);
    const cmsis_nn_dims in_dims = dims(layer->in);
    const cmsis_nn_dims filter = window_dims(&layer->window, layer->out.c, layer->in.c);
    const cmsis_nn_dims bias = {.n = 1, .h = 1, .w = 1, .c = layer->out.c};
    const cmsis_nn_dims out_dims = dims(layer->out);
    return status_of(arm_convolve_wrapper_s8(&ctx, &params, &quant, &in_dims, in, &filter, layer->weights,
                                             &bias, layer->bias, &out_dims, out));
}

uint32_t sf_depthwise_conv2d_cmsis_nn_scratch(const sf_conv2d_t *layer) {
    const cmsis_nn_dw_conv_params params = depthwise_params(layer);
    const cmsis_nn_dims in = dims(layer->in);
    const cmsis_nn_dims filter = window_dims(&layer->window, 1, layer->out.c);
    const cmsis_nn_dims out = dims(layer->out);
    return (uint32_t)arm_depthwise_conv_wrapper_s8_get_buffer_size(&params, &in, &filter, &out);
}

sf_status_t sf_depthwise_conv2d_cmsis_nn(const sf_conv2d_t *layer, const int8_t *in, int8_t *out,
                                         void *scratch, uint32_t scratch_bytes) {
    if (scratch_bytes < sf_depthwise_conv2d_cmsis_nn_scratch(layer)) {
        return SF_ERR_MEMORY;
    }
    const cmsis_nn_context ctx = context(scratch, scratch_bytes);
    const cmsis_nn_dw_conv_params params = depthwise_params(layer);
    const cmsis_nn_per_channel_quant_params quant = per_channel(layer);
    const cmsis_nn_dims in_dims = dims(layer->in);
    const cmsis_nn_dims filter = window_dims(&layer->window, 1, layer->out.c);
    const cmsis_nn_dims bias = {.n = 1, .h = 1, .w = 1, .c = layer->out.c};
    const cmsis_nn_dims out_dims = dims(layer->out);
    return status_of(arm_depthwise_conv_wrapper_s8(&ctx, &params, &quant, &in_dims, in, &filter,
                                                   layer->weights, &bias, layer->bias, &out_dims, out));
}

uint32_t sf_average_pool2d_cmsis_nn_scratch(const sf_pool2d_t *layer) {
    return (uint32_t)arm_avgpool_s8_get_buffer_size(layer->out.w, layer->in.c);
}

sf_status_t sf_average_pool2d_cmsis_nn(const sf_pool2d_t *layer, const int8_t *in, int8_t *out, void *scratch,
                                       uint32_t scratch_bytes) {
    if (scratch_bytes < sf_average_pool2d_cmsis_nn_scratch(layer)) {
        return SF_ERR_MEMORY;
    }
    const cmsis_nn_context ctx = context(scratch, scratch_bytes);
    const cmsis_nn_pool_params params = pool_params(layer);
    const cmsis_nn_dims in_dims = dims(layer->in);
    const cmsis_nn_dims filter = window_dims(&layer->window, 1, 1);
    const cmsis_nn_dims out_dims = dims(layer->out);
    return status_of(arm_avgpool_s8(&ctx, &params, &in_dims, in, &filter, &out_dims, out));
}

sf_status_t sf_max_pool2d_cmsis_nn(const sf_pool2d_t *layer, const int8_t *in, int8_t *out) {
    const cmsis_nn_context ctx = context(0, 0);
    const cmsis_nn_pool_params params = pool_params(layer);
    const cmsis_nn_dims in_dims = dims(layer->in);
    const cmsis_nn_dims filter = window_dims(&layer->window, 1, 1);
    const cmsis_nn_dims out_dims = dims(layer->out);
    return status_of(arm_max_pool_s8(&ctx, &params, &in_dims, in, &filter, &out_dims, out));
}

sf_status_t sf_fully_connected_cmsis_nn(const sf_fully_connected_t *layer, const int8_t *in, int8_t *out) {
    const cmsis_nn_context ctx = context(0, 0);
    const cmsis_nn_fc_params params = {.input_offset = -layer->input_zero_point,
                                       .filter_offset = 0,
                                       .output_offset = layer->output_zero_point,
                                       .activation = {.min = layer->act_min, .max = layer->act_max}};
    const cmsis_nn_per_tensor_quant_params quant = {.multiplier = layer->multiplier, .shift = layer->shift};
    const cmsis_nn_dims in_dims = {.n = layer->rows, .h = 1, .w = 1, .c = (int32_t)layer->inputs};
    const cmsis_nn_dims filter = {.n = (int32_t)layer->inputs, .h = 1, .w = 1, .c = layer->outputs};
    const cmsis_nn_dims bias = {.n = 1, .h = 1, .w = 1, .c = layer->outputs};
    const cmsis_nn_dims out_dims = {.n = layer->rows, .h = 1, .w = 1, .c = layer->outputs};
    return status_of(arm_fully_connected_s8(&ctx, &params, &quant, &in_dims, in, &filter, layer->weights,
                                            &bias, layer->bias, &out_dims, out));
}

#endif
