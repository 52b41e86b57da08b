/* The layer clock: which layer an image's time goes to. Compiled in by `semflash bench` alone (SF_BENCH).
 *
 * Answers go over the ordinary link. In a bench firmware IMAGE_STATS of image n >= 1 (counted from the first one
 * after reset, which is 0) carries the ticks of layer (n - 1) % SF_BENCH_LAYERS alone, and as stack bytes what the
 * encoder alone used below sf_encoder_push_row, interrupts included.
 */
#ifndef SEMFLASH_BENCH_H
#define SEMFLASH_BENCH_H

#if __has_include("sf_bench.h")
#include "sf_bench.h" /* of a bench's build folder: SF_BENCH, SF_BENCH_LAYERS */
#endif

#ifdef SF_BENCH

#include <stdint.h>

#include "semflash/device.h"

#ifdef __cplusplus
extern "C" {
#endif

void sf_bench_attach(sf_port_t *port); /* take the place of the port's counter */
void sf_bench_enter(uint32_t layer);   /* a layer begins; what begins inside counts as it */
void sf_bench_enter_next(void);        /* the same for the next layer of this image */
void sf_bench_leave(void);
void sf_bench_graph(uint32_t first); /* a graph runs whose layers are numbered from `first` on */

#ifdef __cplusplus
}
#endif

#define SF_BENCH_ATTACH(port) sf_bench_attach(port)
#define SF_BENCH_ENTER(layer) sf_bench_enter(layer)
#define SF_BENCH_LEAVE()      sf_bench_leave()
#define SF_BENCH_GRAPH(n)     sf_bench_graph(n)

#else

#define SF_BENCH_ATTACH(port) (void)0
#define SF_BENCH_ENTER(layer) (void)0
#define SF_BENCH_LEAVE()      (void)0
#define SF_BENCH_GRAPH(n)     (void)0

#endif
#endif
