#include "shim/process/fd_table.h"
#include "shim/kernel/sys.h"
#include "shim/process/hot.h"
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

HOT_DATA _Atomic(fd_leaf *) fd_leaves[FD_TABLE_MAX / FD_LEAF_WORDS];

static uint64_t pack(enum fd_kind kind, uint32_t value)
{
	return (uint64_t)value << 32 | kind;
}

static struct fd_word unpack(uint64_t bits)
{
	return (struct fd_word){.kind = bits & 0xff, .value = (uint32_t)(bits >> 32)};
}

static _Atomic uint64_t *word_make(int fd)
{
	_Atomic uint64_t *word = fd_place(fd);

	if (word || (unsigned int)fd >= FD_TABLE_MAX)
		return word;
	long map = sys(SYS_mmap, NULL, sizeof(fd_leaf), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map < 0 && map > -4096)
		return NULL;
	fd_leaf *fresh = (fd_leaf *)map, *none = NULL;
	if (!atomic_compare_exchange_strong(&fd_leaves[fd >> FD_LEAF_BITS], &none, fresh))
		sys(SYS_munmap, fresh, sizeof(fd_leaf)); /* another thread was first */
	return fd_place(fd);
}

bool fd_set_first(int fd, enum fd_kind kind, uint32_t value)
{
	_Atomic uint64_t *word = word_make(fd);

	if (word)
		atomic_store_explicit(word, pack(kind, value), memory_order_release);
	return word;
}

void fd_forget(int fd)
{
	_Atomic uint64_t *word = fd_place(fd);

	/* The load first: most descriptors are unknown, and a store would dirty the line. */
	if (word && atomic_load_explicit(word, memory_order_relaxed))
		atomic_store_explicit(word, 0, memory_order_release);
}

bool fd_swap(int fd, struct fd_word seen, enum fd_kind kind, uint32_t value)
{
	_Atomic uint64_t *word = word_make(fd);
	uint64_t bits = pack(seen.kind, seen.value);

	return word && atomic_compare_exchange_strong(word, &bits, pack(kind, value));
}

void fd_for_each(enum fd_kind kind, void (*visit)(int fd, uint32_t value, void *arg), void *arg)
{
	for (size_t l = 0; l < FD_TABLE_MAX / FD_LEAF_WORDS; l++) {
		fd_leaf *leaf = atomic_load_explicit(&fd_leaves[l], memory_order_acquire);
		for (int i = 0; leaf && i < FD_LEAF_WORDS; i++) {
			struct fd_word word = unpack(atomic_load(&(*leaf)[i]));
			if (word.kind == kind)
				visit((int)(l << FD_LEAF_BITS) + i, word.value, arg);
		}
	}
}
