/* recvmsg(): a listener that comes in a message works, and everything else is as before. */
#include "tests/behaviour/behaviour.h"
#include <fcntl.h>

static void send_fd(int to, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = {0};
	struct iovec data = {.iov_base = "f", .iov_len = 1};
	struct msghdr message = {.msg_iov = &data,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	struct cmsghdr *rights = CMSG_FIRSTHDR(&message);

	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(rights), &fd, sizeof(int));
	CHECK(sendmsg(to, &message, 0) == 1);
	/* Longer than the control bytes are. */
	rights->cmsg_len = sizeof(control) + sizeof(int);
	CHECK_FAILS(sendmsg(to, &message, 0), EINVAL);
	rights->cmsg_len = 1;
	CHECK_FAILS(sendmsg(to, &message, 0), EINVAL);
	CHECK_FAILS(sendmsg(to, NULL, 0), EFAULT);
}

static int receive_fd(int from, int flags)
{
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))), byte;
	struct iovec data = {.iov_base = &byte, .iov_len = 1};
	struct msghdr message = {.msg_iov = &data,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	int fd = -1;

	CHECK(recvmsg(from, &message, flags) == 1);
	struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
	CHECK(rights && rights->cmsg_type == SCM_RIGHTS &&
	      rights->cmsg_len == CMSG_LEN(sizeof(int)));
	if (rights)
		memcpy(&fd, CMSG_DATA(rights), sizeof(int));
	return fd;
}

static void serves(int listener, int port)
{
	for (enum way way = LOOPBACK; way < WAYS; way++) {
		int one = connected(way, port);
		CHECK(is_readable(listener, 2000));
		int fd = accept(listener, NULL, NULL);
		CHECK(fd >= 0 && is_pair(one, fd));
		close(fd);
		gone(one);
	}
}

void behaviour(void)
{
	int pair[2], listener = tcp_listener(SOCK_NONBLOCK), port = port_of(listener);
	char byte;

	NEED(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	send_fd(pair[0], listener);
	int same = receive_fd(pair[1], MSG_CMSG_CLOEXEC);
	CHECK(same >= 0 && same != listener && fcntl(same, F_GETFD) & FD_CLOEXEC);
	serves(same, port);
	serves(listener, port);
	CHECK(!close(listener));
	serves(same, port);
	CHECK(is_as_it_was(same));

	/* Into another process, which lets the sender close it. */
	pid_t pid = fork();
	if (!pid) {
		close(same);
		CHECK(write(pair[1], "g", 1) == 1);
		int fd = receive_fd(pair[1], 0);
		CHECK(write(pair[1], "h", 1) == 1);
		sleep_ms(300);
		serves(fd, port);
		check_finish();
	}
	CHECK(read(pair[0], &byte, 1) == 1);
	send_fd(pair[0], same);
	CHECK(read(pair[0], &byte, 1) == 1);
	CHECK(!close(same));
	CHECK(exit_of(pid) == 0);
	CHECK(is_refused(LOOPBACK, port) && is_refused(CPU0, port));

	struct iovec data = {.iov_base = &byte, .iov_len = 1};
	struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
	CHECK_FAILS(recvmsg(pair[0], &message, MSG_DONTWAIT), EAGAIN);
	CHECK_FAILS(recvmsg(pair[0], NULL, MSG_DONTWAIT), EFAULT);
	CHECK_FAILS(recvmsg(-1, &message, 0), EBADF);
	CHECK_FAILS(recvmsg(0, &message, 0), ENOTSOCK);
}
