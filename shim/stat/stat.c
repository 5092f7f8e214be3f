#include "shim/stat/stat.h"
#include "shim/kernel/format.h"
#include "shim/kernel/log.h"
#include "shim/kernel/socket.h"
#include "shim/kernel/sys.h"
#include "shim/process/own_fd.h"
#include "shim/version.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

_Atomic(struct stat_memory *) stat_shared;
__thread struct stat_here stat_here;

static int descriptor = -1; /* how the command finds the memory */

/* Returns the mapping, or -errno; *fd is ours to place. */
static int make(int *fd, struct stat_memory **memory)
{
	struct rlimit limit = {.rlim_cur = 0};

	/* Growing a file beyond RLIMIT_FSIZE is not an error but a signal, SIGXFSZ. */
	sys(SYS_prlimit64, 0, RLIMIT_FSIZE, NULL, &limit);
	if (limit.rlim_cur < sizeof(**memory))
		return -EFBIG;
	*fd = (int)sys(SYS_memfd_create, STAT_MEMORY_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd < 0)
		return *fd;
	long at = sys(SYS_ftruncate, *fd, sizeof(**memory));
	/* Whoever maps it may rely on its size: no SIGBUS by truncation. */
	if (!at)
		at = sys(SYS_fcntl, *fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	if (!at)
		at = sys(SYS_mmap, NULL, sizeof(**memory), PROT_READ | PROT_WRITE, MAP_SHARED, *fd,
			 0);
	if (at < 0 && at > -4096) {
		sys(SYS_close, *fd);
		return (int)at;
	}
	*memory = (struct stat_memory *)at;
	return 0;
}

void stat_start(const struct stat_origin *origin)
{
	struct stat_memory *memory;
	int fd, error = make(&fd, &memory);

	if (error) {
		log_info("no statistics: the memory for them was refused (error %d)", -error);
		return;
	}
	memory->abi = STAT_ABI;
	memory->size = sizeof(*memory);
	memory->counters = STAT_COUNTERS;
	memory->every = origin->observe ? 1 : STAT_LOOK_EVERY;
	format_text(memory->version, sizeof(memory->version), "%s", RSSSHIM_VERSION);
	format_text(memory->program, sizeof(memory->program), "%s", origin->program);
	memory->policy = *origin->policy;
	stat_shared = memory;
	stat_set_nics(origin->nics, origin->online);
	memory->magic = STAT_MAGIC;
	descriptor = own_fd(fd);
	own_fd_hold(&descriptor);
}

void stat_set_nics(const struct nic_set *nics, const cpu_set_t *online)
{
	struct stat_memory *memory = stat_shared;

	if (!memory)
		return;
	CPU_ZERO(&memory->receiving);
	for (unsigned i = 0; i < nics->count; i++) {
		const struct nic_view *view = &nics->view[i];
		struct stat_nic nic = {.ifindex = view->ifindex,
				       .kind = (uint8_t)view->kind,
				       .spreads = view->spreads,
				       .spreads_not = (uint8_t)view->spreads_not,
				       .queues = view->arrival.queue_count,
				       .cpus = view->cpus};
		memcpy(nic.name, view->name, sizeof(nic.name));
		for (int family = 0; family < 2; family++) {
			nic.predictable[family] = view->predictable[family];
			nic.predictable_not[family] = (uint8_t)view->predictable_not[family];
		}
		if (view->spreads)
			CPU_OR(&memory->receiving, &memory->receiving, &view->cpus);
		memory->nic[i] = nic;
	}
	memory->nic_count = nics->count;
	if (!CPU_COUNT(&memory->receiving))
		memory->receiving = *online;
}

/* Only asked once all blocks were used. A thread of another pid name space looks dead, and counts
 * on beside the new one: of two increments at the same moment one is then lost. */
static bool is_gone(uint64_t owner)
{
	return sys(SYS_tgkill, (int)(owner >> 32), (int)owner, 0) == -ESRCH;
}

static struct stat_block *claim_block(struct stat_memory *memory)
{
	uint64_t self = (uint64_t)self_pid() << 32 | (uint32_t)self_tid();

	for (int pass = 0; pass < 2; pass++) {
		for (int i = 0; i < STAT_BLOCKS_MAX; i++) {
			struct stat_block *block = &memory->block[i];
			uint64_t owner = block->owner;
			if (pass ? is_gone(owner) : !owner)
				if (atomic_compare_exchange_strong(&block->owner, &owner, self))
					return block;
		}
	}
	return NULL;
}

void stat_add_slowly(enum stat_counter counter, uint64_t count)
{
	struct stat_memory *memory = stat_shared;

	if (!memory)
		return;
	uint32_t epoch = self_epoch();
	if (stat_here.crowded_epoch != epoch) {
		/* What the thread had before a fork is its parent's. */
		stat_here.block = claim_block(memory);
		stat_here.epoch = epoch;
		if (stat_here.block) {
			stat_here.block->counter[counter] += count;
			return;
		}
		stat_here.crowded_epoch = epoch;
	}
	__atomic_fetch_add(&memory->crowd.counter[counter], count, __ATOMIC_RELAXED);
}

/* xorshift32: a fixed step would see but one of two clients that take turns. */
static int next_look(uint32_t every)
{
	uint32_t r = stat_here.random ? stat_here.random : (uint32_t)self_tid() * 2654435761u;

	r ^= r << 13;
	r ^= r >> 17;
	r ^= r << 5;
	stat_here.random = r;
	return every > 1 ? (int)(r % (2 * every - 1)) : 0;
}

static bool is_pinned(const cpu_set_t *mask, const cpu_set_t *receiving)
{
	cpu_set_t home;

	CPU_AND(&home, mask, receiving);
	return !CPU_EQUAL(&home, receiving);
}

static void remember_home(struct stat_memory *memory, const cpu_set_t *mask)
{
	for (unsigned w = 0; w < CPU_SETSIZE / 64; w++) {
		uint64_t bits = 0;
		for (unsigned b = 0; b < 64; b++)
			bits |= (uint64_t) !!CPU_ISSET(w * 64 + b, mask) << b;
		if (bits & ~memory->homes[w])
			atomic_fetch_or(&memory->homes[w], bits);
	}
}

static unsigned place_of(int cpu)
{
	return cpu >= 0 && cpu < STAT_CPUS_MAX ? (unsigned)cpu : STAT_BEYOND;
}

void stat_look(enum stat_side side, int fd)
{
	static const enum stat_counter outcome[STAT_SIDES][3] = {
		[STAT_ACCEPT] = {STAT_ACCEPT_ALIGNED, STAT_ACCEPT_MISALIGNED, STAT_ACCEPT_UNPINNED},
		[STAT_CONNECT] = {STAT_CONNECT_ALIGNED, STAT_CONNECT_MISALIGNED,
				  STAT_CONNECT_ELSEWHERE},
	};
	struct stat_memory *memory = stat_shared;
	cpu_set_t mask;

	stat_here.until_look = next_look(memory ? memory->every : STAT_LOOK_EVERY);
	int cpu = memory ? socket_incoming_cpu(fd) : -1;
	if (cpu < 0)
		return; /* no TCP connection */
	CPU_ZERO(&mask);
	sys(SYS_sched_getaffinity, 0, sizeof(mask), &mask);
	unsigned row = STAT_UNPINNED, what = 2;
	if (is_pinned(&mask, &memory->receiving)) {
		what = !CPU_ISSET((unsigned)cpu, &mask);
		row = place_of(what ? sched_getcpu() : cpu);
		remember_home(memory, &mask);
	}
	stat_count(outcome[side][what]);
	atomic_fetch_add_explicit(&memory->table[side][row].arrived[place_of(cpu)], 1,
				  memory_order_relaxed);
}

static bool is_entry_of(const struct stat_listener *entry, const struct stat_listener *wanted)
{
	return entry->state == STAT_LISTENER_SET && entry->family == wanted->family &&
	       entry->port == wanted->port &&
	       !memcmp(entry->address, wanted->address, sizeof(entry->address));
}

static struct stat_listener *entry_for(struct stat_memory *memory,
				       const struct stat_listener *wanted)
{
	for (int i = 0; i < STAT_LISTENERS_MAX; i++) {
		struct stat_listener *entry = &memory->listener[i];
		uint32_t none = STAT_LISTENER_FREE;
		if (is_entry_of(entry, wanted) ||
		    atomic_compare_exchange_strong(&entry->state, &none, STAT_LISTENER_CLAIMED))
			return entry;
	}
	return NULL;
}

void stat_listener(const struct socket_address *address, unsigned members, const char *why)
{
	struct stat_memory *memory = stat_shared;
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)&address->storage;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address->storage;
	struct stat_listener wanted = {.family = address->any.sa_family,
				       .port = socket_port(address)};

	stat_count(members ? STAT_LISTEN_STEERED : STAT_LISTEN_UNSTEERED);
	if (wanted.family == AF_INET6)
		memcpy(wanted.address, &in6->sin6_addr, sizeof(in6->sin6_addr));
	else
		memcpy(wanted.address, &in4->sin_addr, sizeof(in4->sin_addr));
	struct stat_listener *entry = memory ? entry_for(memory, &wanted) : NULL;
	if (!entry)
		return;
	entry->family = wanted.family;
	entry->port = wanted.port;
	memcpy(entry->address, wanted.address, sizeof(entry->address));
	format_text(entry->reason, sizeof(entry->reason), "%s", why ? why : "");
	entry->members = members;
	entry->state = STAT_LISTENER_SET;
}
