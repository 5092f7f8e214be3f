/* Another library that wraps accept4() and close() as the shim does, and counts into the file that
 * STACKED_COUNTS names. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int (*next_accept4)(int, struct sockaddr *, socklen_t *, int);
static unsigned accepted;

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
	FILE *out = fopen(getenv("STACKED_COUNTS"), "a");

	if (out && accepted)
		fprintf(out, "%u\n", accepted);
	if (out)
		fclose(out);
}
