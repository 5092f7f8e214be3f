#include "shim/kernel/listening.h"
#include "shim/kernel/sys.h"
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

struct walk {
	listening_fn visit;
	void *context;
};

bool listening_parse(const uint8_t *payload, size_t length, struct inet_diag_msg *socket,
		     struct nl_attrs *attrs)
{
	size_t fixed = NLMSG_ALIGN(sizeof(*socket));

	if (length < fixed)
		return false;
	memcpy(socket, payload, sizeof(*socket));
	*attrs = (struct nl_attrs){payload + fixed, length - fixed};
	return true;
}

static void on_socket(void *context, uint16_t type, const uint8_t *payload, size_t length)
{
	const struct walk *walk = context;
	struct inet_diag_msg socket;
	struct nl_attrs attrs;

	if (type == SOCK_DIAG_BY_FAMILY && listening_parse(payload, length, &socket, &attrs))
		walk->visit(walk->context, &socket, attrs);
}

int listening_each(int family, bool info, listening_fn visit, void *context)
{
	struct inet_diag_req_v2 diag = {.sdiag_family = (uint8_t)family,
					.sdiag_protocol = IPPROTO_TCP,
					.idiag_ext = info ? 1 << (INET_DIAG_INFO - 1) : 0,
					.idiag_states = 1 << TCP_LISTEN};
	struct walk walk = {visit, context};
	struct nl_request request;
	static uint8_t answer[8192]; /* the stack may be small */
	int netlink = nl_open(NETLINK_SOCK_DIAG, 0, false);

	if (netlink < 0)
		return netlink;
	nl_request_init(&request, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &diag, sizeof(diag));
	int ret = nl_exchange(netlink, &request, (struct nl_buffer){answer, sizeof(answer)},
			      on_socket, &walk);
	sys(SYS_close, netlink);
	return ret;
}
