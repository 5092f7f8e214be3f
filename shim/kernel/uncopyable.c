#include "shim/kernel/uncopyable.h"
#include "shim/kernel/listening.h"
#include "shim/kernel/socket.h"
#include "shim/kernel/sys.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>

/* Linux 6.7. */
#define TCP_AO_ADD_KEY_OPTION 38
#define TCP_AO_INFO_OPTION    40
/* Of what getsockopt() of the latter fills in. */
#define TCP_AO_INFO_ROOM 256

bool uncopyable_option(int level, int name)
{
	switch (level) {
	case IPPROTO_TCP:
		return name == TCP_MD5SIG || name == TCP_MD5SIG_EXT ||
		       name == TCP_AO_ADD_KEY_OPTION || name == TCP_AO_INFO_OPTION;
	case IPPROTO_IP:
		return name == IP_IPSEC_POLICY || name == IP_XFRM_POLICY;
	case IPPROTO_IPV6:
		return name == IPV6_IPSEC_POLICY || name == IPV6_XFRM_POLICY;
	default:
		return false;
	}
}

struct search {
	uint32_t inode;
	bool has_md5;
};

static void on_socket(void *context, const struct inet_diag_msg *socket, struct nl_attrs attrs)
{
	struct search *search = context;
	struct nl_attr attr;

	while (socket->idiag_inode == search->inode && nl_next(&attrs, &attr))
		search->has_md5 |= attr.type == INET_DIAG_MD5SIG && attr.len;
}

static bool has_authentication_option(int fd)
{
	char info[TCP_AO_INFO_ROOM] = {0};
	socklen_t length = sizeof(info);

	/* ENOENT without keys, ENOPROTOOPT where the kernel knows none. */
	return !socket_get(fd, IPPROTO_TCP, TCP_AO_INFO_OPTION, info, &length);
}

bool uncopyable_is(int fd)
{
	struct search search = {0};
	struct stat status;

	if (has_authentication_option(fd))
		return true;
	if (sys(SYS_fstat, fd, &status) < 0)
		return false;
	search.inode = (uint32_t)status.st_ino;
	listening_each(socket_get_int(fd, SOL_SOCKET, SO_DOMAIN, AF_INET), true, on_socket,
		       &search);
	return search.has_md5;
}
