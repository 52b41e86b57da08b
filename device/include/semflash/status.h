/* Status codes of the semflash device runtime. All errors are negative. */
#ifndef SEMFLASH_STATUS_H
#define SEMFLASH_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SF_MUST_CHECK __attribute__((warn_unused_result))
#else
#define SF_MUST_CHECK
#endif

/* Version of the interface between the runtime and generated code. Generated headers refuse any other. */
#define SF_RUNTIME_API 2

typedef enum sf_status {
    SF_OK = 0,
    SF_MORE = 1,          /* not an error: the call needs more input before there is a result */
    SF_ERR_ARGUMENT = -1, /* a null pointer, or a size the contract does not allow */
    SF_ERR_ROW = -2,      /* a row of the wrong size, or more rows than the image has */
    SF_ERR_STATE = -3,    /* the call does not fit what came before (poll before begin, ...) */
    SF_ERR_MEMORY = -4,   /* the caller's buffer is smaller than the generated constant asks */
    SF_ERR_KERNEL = -5,   /* a kernel refused its arguments: generated code and runtime disagree */
    SF_ERR_COBS = -6,     /* not a COBS sequence */
    SF_ERR_HEADER = -7,   /* header CRC wrong */
    SF_ERR_VERSION = -8,  /* protocol version or frame type unknown */
    SF_ERR_LENGTH = -9,   /* length field and received bytes disagree, or the frame is too long */
    SF_ERR_IO = -10       /* the port could not take the bytes */
} sf_status_t;

#ifdef __cplusplus
}
#endif

#endif
