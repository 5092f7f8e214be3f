/* Another library that wraps accept4() as the shim does, and counts into the file that
 * STACKED_COUNTS names: at the start, as nginx has no such variable any more when its workers end.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int (*next_accept4)(int, struct sockaddr *, socklen_t *, int);
static unsigned accepted;
static char counts[256];

__attribute__((constructor)) static void start(void)
{
	const char *path = getenv("STACKED_COUNTS");

	if (path)
		snprintf(counts, sizeof(counts), "%s", path);
}

int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	if (!next_accept4)
		next_accept4 = (int (*)(int, struct sockaddr *, socklen_t *, int))dlsym(RTLD_NEXT,
											"accept4");
	int ret = next_accept4(fd, address, length, flags);
	accepted += ret >= 0;
	return ret;
}

__attribute__((destructor)) static void report(void)
{
	FILE *out = fopen(counts, "a");

	if (out && accepted)
		fprintf(out, "%u\n", accepted);
	if (out)
		fclose(out);
}
