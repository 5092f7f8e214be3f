#include "shim/kernel/reuseport.h"
#include "shim/kernel/listening.h"
#include "shim/kernel/sys.h"
#include <netinet/in.h>
#include <string.h>

int reuseport_attach(int fd, struct sock_filter *program, unsigned length)
{
	struct sock_fprog filter = {.len = (unsigned short)length, .filter = program};

	return socket_set(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &filter, sizeof(filter));
}

int reuseport_try(void)
{
	struct sock_filter any[] = {{.code = BPF_RET | BPF_K}};
	int fd = (int)sys(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return fd;
	int ret = socket_set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (!ret)
		ret = reuseport_attach(fd, any, 1);
	sys(SYS_close, fd);
	return ret;
}

struct count {
	const struct socket_place *place;
	int found;
};

static void on_socket(void *context, const struct inet_diag_msg *socket, struct nl_attrs attrs)
{
	struct count *count = context;
	const struct socket_address *address = &count->place->address;
	const struct sockaddr_in *in = (const struct sockaddr_in *)&address->storage;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address->storage;

	(void)attrs;
	if (socket->idiag_family != address->any.sa_family ||
	    socket->id.idiag_sport != in->sin_port || socket->id.idiag_if != count->place->device)
		return;
	count->found +=
		socket->idiag_family == AF_INET
			? socket->id.idiag_src[0] == in->sin_addr.s_addr
			: !memcmp(socket->id.idiag_src, &in6->sin6_addr, sizeof(in6->sin6_addr));
}

int reuseport_count(const struct socket_place *place)
{
	struct count count = {.place = place};
	int ret = listening_each(place->address.any.sa_family, false, on_socket, &count);

	return ret ? ret : count.found;
}
