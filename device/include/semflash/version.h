/* Version of the library, apart from that of the protocol (semflash/frame.h); the same as the host package's. */
#ifndef SEMFLASH_VERSION_H
#define SEMFLASH_VERSION_H

#define SF_VERSION_MAJOR 0u
#define SF_VERSION_MINOR 1u
#define SF_VERSION_PATCH 0u

#endif
