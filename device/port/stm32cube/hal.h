/* ST's HAL of whichever family is on the include path. */
#ifndef SEMFLASH_STM32CUBE_HAL_H
#define SEMFLASH_STM32CUBE_HAL_H

#if __has_include("stm32f4xx_hal.h")
#include "stm32f4xx_hal.h"
#define SF_HAL_F4 1
#elif __has_include("stm32l4xx_hal.h")
#include "stm32l4xx_hal.h"
#define SF_HAL_L4 1
#elif __has_include("stm32h7xx_hal.h")
#include "stm32h7xx_hal.h"
#define SF_HAL_H7 1
#elif defined(SF_PORT_HAL_HEADER) /* another family: -DSF_PORT_HAL_HEADER='"stm32g4xx_hal.h"' */
#include SF_PORT_HAL_HEADER
#else
#error "ST's HAL is not on the include path; for a family that is not F4, L4 or H7 set SF_PORT_HAL_HEADER"
#endif

#endif
