#include "shim/kernel/shared_memory.h"
#include "shim/kernel/sys.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

int shared_memory_fits(size_t size)
{
	struct rlimit limit = {.rlim_cur = RLIM_INFINITY};

	sys(SYS_prlimit64, 0, RLIMIT_FSIZE, NULL, &limit);
	return limit.rlim_cur < size ? -EFBIG : 0;
}

static int map(int fd, size_t size, void **at)
{
	long ret = sys(SYS_mmap, NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (ret < 0 && ret > -4096)
		return (int)ret;
	*at = (void *)ret;
	return 0;
}

int shared_memory_make(const char *name, size_t size, void **at)
{
	int error = shared_memory_fits(size);

	if (error)
		return error;
	int fd = (int)sys(SYS_memfd_create, name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return fd;
	long ret = sys(SYS_ftruncate, fd, size);
	/* Whoever maps it may rely on its size: no SIGBUS by truncation. */
	if (!ret)
		ret = sys(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	if (!ret)
		ret = map(fd, size, at);
	if (!ret)
		return fd;
	sys(SYS_close, fd);
	return (int)ret;
}

bool shared_memory_is_sealed(int fd)
{
	long seals = sys(SYS_fcntl, fd, F_GET_SEALS);

	return seals >= 0 && seals & F_SEAL_SHRINK;
}

int shared_memory_map(int fd, size_t size, void **at)
{
	struct stat status;

	if (!shared_memory_is_sealed(fd) || sys(SYS_fstat, fd, &status) < 0 ||
	    status.st_size != (off_t)size)
		return -EPROTO;
	return map(fd, size, at);
}
