/*
 * main.h: the main function of a worker process.
 */
#pragma once

#include <stdbool.h>

/* Speaks with its server over the descriptors that it was started with (world/plain.h). Returns its
 * exit status. */
int worker_main(bool unsafe);
