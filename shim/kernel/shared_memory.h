/* Memory that processes share by a descriptor. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* Makes size zeroed bytes, mapped at *at, whose size nobody can change any more. Returns the
 * descriptor, close-on-exec, or -errno. name: what /proc/PID/fd shows. */
int shared_memory_make(const char *name, size_t size, void **at);

/* Whether a descriptor is of memory that nobody can shrink: made so by this library, in all
 * likelihood, and not what else came to have its number. */
bool shared_memory_is_sealed(int fd);

/* Maps what another process made so, at *at; anything else, of another size too, is -EPROTO. */
int shared_memory_map(int fd, size_t size, void **at);

/* A file that grows beyond RLIMIT_FSIZE is no error but a signal, SIGXFSZ, and memory counts as
 * one. Returns 0 if it may have that size, else -EFBIG. */
int shared_memory_fits(size_t size);
