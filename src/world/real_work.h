/*
 * real_work.h: struct work of real threads: for the worlds that are real (uv/, plain.c).
 */
#pragma once

#include "world/work.h"

/* It has no state: any number of threads may use one, each for itself. */
void work_real_init(struct work *work);
