/* Preloaded last, so that its constructor runs first: from then on there is no memory to allocate.
 */
#include <errno.h>
#include <stddef.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);

static int none_left;

static void *refuse(void)
{
	errno = ENOMEM;
	return NULL;
}

void *malloc(size_t size)
{
	return none_left ? refuse() : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	return none_left ? refuse() : __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
	return none_left ? refuse() : __libc_realloc(memory, size);
}

__attribute__((constructor)) static void start(void)
{
	none_left = 1;
}
