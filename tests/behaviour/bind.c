/* bind(): a second instance is told that the address is taken, whichever options it sets. */
#include "tests/behaviour/behaviour.h"
static int bind_port(int port, int option)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (option)
		set_int(fd, SOL_SOCKET, option, 1);
	int ret = bind(fd, (void *)&address, sizeof(address)) ? -1 : 0;
	int error = errno;
	if (!ret && listen(fd, 1))
		ret = -1, error = errno;
	close(fd);
	errno = error;
	return ret;
}

static int second_instance(int port, int option)
{
	pid_t pid = fork();

	if (!pid)
		_exit(bind_port(port, option) ? errno : 0);
	return exit_of(pid);
}

void behaviour(void)
{
	int bound = tcp_bound(0), listener = tcp_listener(0), port = port_of(listener);
	struct sockaddr_in any = {.sin_family = AF_INET};

	CHECK_FAILS(bind_port(port_of(bound), 0), EADDRINUSE);
	CHECK_FAILS(bind_port(port, 0), EADDRINUSE);
	CHECK_FAILS(bind_port(port, SO_REUSEADDR), EADDRINUSE);
	CHECK(second_instance(port, 0) == EADDRINUSE);
	CHECK(second_instance(port, SO_REUSEADDR) == EADDRINUSE);
	CHECK_FAILS(bind(listener, (void *)&any, sizeof(any)), EINVAL);
	CHECK_FAILS(bind(bound, (void *)&any, 3), EINVAL);
	CHECK_FAILS(bind(-1, (void *)&any, sizeof(any)), EBADF);
	CHECK_FAILS(bind(0, (void *)&any, sizeof(any)), ENOTSOCK);

	/* One that bound the same address before, with SO_REUSEADDR, must not listen after. */
	struct sockaddr_in address = {.sin_family = AF_INET};
	int one = socket(AF_INET, SOCK_STREAM, 0), other = socket(AF_INET, SOCK_STREAM, 0);
	set_int(one, SOL_SOCKET, SO_REUSEADDR, 1);
	set_int(other, SOL_SOCKET, SO_REUSEADDR, 1);
	CHECK(!bind(one, (void *)&address, sizeof(address)));
	address.sin_port = htons((uint16_t)port_of(one));
	CHECK(!bind(other, (void *)&address, sizeof(address)));
	CHECK(!listen(one, 5));
	CHECK_FAILS(listen(other, 5), EADDRINUSE);

	/* The port is free again once it is closed. */
	close(listener);
	CHECK(!bind_port(port, 0));
}
