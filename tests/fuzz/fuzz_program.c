/* A file that is about to be executed, of any content: ELF or script. */
#include "shim/process/program.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void require(int holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	struct program program;

	if (fd < 0)
		fd = memfd_create("program", 0);
	require(!ftruncate(fd, 0) && pwrite(fd, data, size, 0) == (ssize_t)size);
	memset(&program, 0xee, sizeof(program));
	program_read(fd, &program);
	require(program.form <= PROGRAM_DYNAMIC);
	require(memchr(program.interpreter, 0, sizeof(program.interpreter)) &&
		memchr(program.argument, 0, sizeof(program.argument)));
	require(program.form != PROGRAM_DYNAMIC || program.interpreter[0]);
	return 0;
}
