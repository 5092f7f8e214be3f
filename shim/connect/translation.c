#include "shim/connect/translation.h"
#include "shim/kernel/log.h"
#include "shim/kernel/sys.h"
#include "shim/nic/conntrack_line.h"
#include "shim/process/own_fd.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdatomic.h>

#define LOOK_MS  1000
#define READ_MAX (256 << 10) /* bytes of the file in one look: about 1,500 connections */
#define TEXT_MAX 1024        /* a line has up to 300 bytes */
#define PLACES   64

static int file = -1;
static _Atomic bool started, any;
static _Atomic uint64_t due_ms;
static _Atomic uint64_t place[PLACES]; /* hash of a translated address; 0: none */

void translation_start(void)
{
	if (atomic_load_explicit(&started, memory_order_relaxed) || atomic_exchange(&started, true))
		return;
	long fd = sys(SYS_openat, AT_FDCWD, "/proc/net/nf_conntrack", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	file = own_fd((int)fd);
	own_fd_hold(&file);
}

static uint64_t hash_of(const struct flow *flow)
{
	uint64_t hash = flow->family;

	for (unsigned i = 0; i < 4; i++)
		hash = (hash ^ flow_address_word(flow->remote, i)) * UINT64_C(0x9e3779b97f4a7c15);
	hash ^= hash >> 32;
	return hash ? hash : 1;
}

static bool is_text_of(const char *text, const struct flow *flow, const uint8_t address[16])
{
	uint8_t bytes[16];

	return inet_pton(flow->family, text, bytes) == 1 &&
	       !memcmp(bytes, address, 4 * flow_address_words(flow_family(flow)));
}

static bool line_explains(const char *line, const struct flow *flow)
{
	struct conntrack_snat snat;

	return conntrack_line_snat(line, &snat) && snat.family == flow->family &&
	       is_text_of(snat.remote, flow, flow->remote) &&
	       is_text_of(snat.from, flow, flow->local);
}

/* Reads at offsets of its own: processes forked from here share the descriptor. */
static bool file_explains(const struct flow *flow)
{
	char text[TEXT_MAX];
	size_t len = 0;

	for (long at = 0; at < READ_MAX;) {
		long got = sys(SYS_pread64, file, text + len, sizeof(text) - 1 - len, at);
		char *line = text, *end;

		if (got <= 0)
			return false;
		at += got;
		len += (size_t)got;
		text[len] = '\0';
		for (; (end = strchr(line, '\n')); line = end + 1) {
			*end = '\0';
			if (line_explains(line, flow))
				return true;
		}
		len = strlen(line);
		/* No line is that long. */
		if (len == sizeof(text) - 1)
			return false;
		memmove(text, line, len);
	}
	return false;
}

bool translation_explains(const struct flow *flow, uint64_t now_ms)
{
	uint64_t due = due_ms;
	char text[INET6_ADDRSTRLEN] = "?";

	if (translation_known(flow))
		return true;
	if (file < 0 || now_ms < due ||
	    !atomic_compare_exchange_strong(&due_ms, &due, now_ms + LOOK_MS))
		return false;
	if (!own_fd_holds(file) || !file_explains(flow))
		return false;
	atomic_store(&place[hash_of(flow) % PLACES], hash_of(flow));
	atomic_store(&any, true);
	inet_ntop(flow->family, flow->remote, text, sizeof(text));
	log_warn("connections to %s get another source address on the way (SNAT): no source port "
		 "brings their replies home, they are left alone",
		 text);
	return true;
}

bool translation_known(const struct flow *flow)
{
	return atomic_load_explicit(&any, memory_order_relaxed) &&
	       place[hash_of(flow) % PLACES] == hash_of(flow);
}

void translation_forget(void)
{
	if (!any)
		return;
	atomic_store(&any, false);
	for (unsigned i = 0; i < PLACES; i++)
		atomic_store(&place[i], 0);
}
