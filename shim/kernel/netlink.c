#include "shim/kernel/netlink.h"
#include "shim/kernel/poll.h"
#include "shim/kernel/sys.h"
#include <errno.h>
#include <linux/genetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

void nl_request_init(struct nl_request *request, uint16_t type, uint16_t flags, const void *extra,
		     size_t extra_len)
{
	struct nlmsghdr header = {.nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | flags};

	memset(request->data, 0, sizeof(request->data));
	memcpy(request->data, &header, sizeof(header));
	memcpy(request->data + NLMSG_HDRLEN, extra, extra_len);
	request->len = NLMSG_HDRLEN + NLMSG_ALIGN(extra_len);
}

void nl_request_add(struct nl_request *request, uint16_t type, const void *value, size_t len)
{
	struct nlattr attr = {.nla_type = type, .nla_len = (uint16_t)(NLA_HDRLEN + len)};

	if (!request->len || len > sizeof(request->data) - NLA_HDRLEN ||
	    request->len + NLA_ALIGN(NLA_HDRLEN + len) > sizeof(request->data)) {
		request->len = 0;
		return;
	}
	memcpy(request->data + request->len, &attr, sizeof(attr));
	if (len)
		memcpy(request->data + request->len + NLA_HDRLEN, value, len);
	request->len += NLA_ALIGN(NLA_HDRLEN + len);
}

void nl_request_add_u32(struct nl_request *request, uint16_t type, uint32_t value)
{
	nl_request_add(request, type, &value, sizeof(value));
}

size_t nl_nest_begin(struct nl_request *request, uint16_t type)
{
	size_t nest = request->len;

	nl_request_add(request, type | NLA_F_NESTED, NULL, 0);
	return nest;
}

void nl_nest_end(struct nl_request *request, size_t nest)
{
	struct nlattr *attr = (void *)(request->data + nest);

	if (request->len)
		attr->nla_len = (uint16_t)(request->len - nest);
}

bool nl_next(struct nl_attrs *attrs, struct nl_attr *attr)
{
	struct nlattr header;
	size_t whole;

	if (attrs->left < NLA_HDRLEN)
		return false;
	memcpy(&header, attrs->at, sizeof(header));
	if (header.nla_len < NLA_HDRLEN || header.nla_len > attrs->left)
		return false;
	attr->type = header.nla_type & NLA_TYPE_MASK;
	attr->value = attrs->at + NLA_HDRLEN;
	attr->len = header.nla_len - NLA_HDRLEN;
	whole = NLA_ALIGN(header.nla_len);
	if (whole > attrs->left)
		whole = attrs->left; /* the padding of the last one may be missing */
	attrs->at += whole;
	attrs->left -= whole;
	return true;
}

uint32_t nl_u32(const struct nl_attr *attr)
{
	uint32_t value = 0;

	if (attr->len >= sizeof(value))
		memcpy(&value, attr->value, sizeof(value));
	return value;
}

void nl_text(const struct nl_attr *attr, char *text, size_t size)
{
	size_t len = 0;

	while (len < attr->len && len < size - 1 && attr->value[len])
		len++;
	memcpy(text, attr->value, len);
	text[len] = '\0';
}

bool nl_walk(const uint8_t *data, size_t len, uint32_t sequence, nl_message_fn message,
	     void *context, int *error)
{
	*error = 0;
	while (len >= NLMSG_HDRLEN) {
		struct nlmsghdr header;
		size_t whole;

		memcpy(&header, data, sizeof(header));
		if (header.nlmsg_len < NLMSG_HDRLEN || header.nlmsg_len > len) {
			*error = -EBADMSG;
			return false;
		}
		if (header.nlmsg_seq == sequence &&
		    (header.nlmsg_type == NLMSG_ERROR || header.nlmsg_type == NLMSG_DONE)) {
			int32_t reported = header.nlmsg_type == NLMSG_DONE ? 0 : -EBADMSG;

			if (header.nlmsg_len >= NLMSG_HDRLEN + sizeof(reported))
				memcpy(&reported, data + NLMSG_HDRLEN, sizeof(reported));
			*error = reported > 0 ? -EBADMSG : reported;
			return false;
		}
		if (header.nlmsg_seq == sequence && header.nlmsg_type >= NLMSG_MIN_TYPE)
			message(context, header.nlmsg_type, data + NLMSG_HDRLEN,
				header.nlmsg_len - NLMSG_HDRLEN);
		whole = NLMSG_ALIGN(header.nlmsg_len);
		if (whole > len)
			whole = len;
		data += whole;
		len -= whole;
	}
	if (len) {
		*error = -EBADMSG;
		return false;
	}
	return true;
}

/* The kernel answers from within sendmsg(), so waiting is for the unforeseen only. */
static bool answer_is_there(int fd)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	long ready;

	do
		ready = sys_poll(&wait, 1, 1000);
	while (ready == -EINTR);
	return ready == 1;
}

int nl_exchange(int fd, struct nl_request *request, struct nl_buffer buffer, nl_message_fn message,
		void *context)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct nlmsghdr *header = (void *)request->data;
	struct timespec now;
	uint32_t sequence;
	int error = 0;
	long got;

	if (fd < 0)
		return fd;
	if (!request->len)
		return -EMSGSIZE;
	/* An answer that came too late for an earlier caller must not be taken for ours. */
	sys(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
	sequence = (uint32_t)now.tv_nsec ^ (uint32_t)now.tv_sec << 30;
	header->nlmsg_len = (uint32_t)request->len;
	header->nlmsg_seq = sequence;
	header->nlmsg_flags |= NLM_F_ACK; /* so that a lone answer ends like a dump does */
	got = sys(SYS_sendto, fd, request->data, request->len, MSG_NOSIGNAL, &kernel,
		  sizeof(kernel));
	if (got < 0)
		return (int)got;
	do {
		if (!answer_is_there(fd))
			return -EAGAIN;
		got = sys(SYS_recvfrom, fd, buffer.data, buffer.size, MSG_DONTWAIT | MSG_TRUNC,
			  NULL, NULL);
		if (got == -EINTR || got == -EAGAIN)
			continue;
		if (got < 0)
			return (int)got;
		if ((size_t)got > buffer.size)
			return -EMSGSIZE;
	} while (got < 0 || nl_walk(buffer.data, (size_t)got, sequence, message, context, &error));
	return error;
}

int nl_open(int protocol, uint32_t groups, bool nonblocking)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = groups};
	int type = SOCK_RAW | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0);
	long fd = sys(SYS_socket, AF_NETLINK, type, protocol);
	long bound;

	if (fd < 0)
		return (int)fd;
	bound = sys(SYS_bind, fd, &address, sizeof(address));
	if (bound < 0) {
		sys(SYS_close, fd);
		return (int)bound;
	}
	return (int)fd;
}

struct family_search {
	const char *group_name;
	uint32_t group;
	int family;
};

static void family_group(struct family_search *search, struct nl_attrs attrs)
{
	char name[GENL_NAMSIZ] = "";
	uint32_t number = 0;
	struct nl_attr attr;

	while (nl_next(&attrs, &attr)) {
		if (attr.type == CTRL_ATTR_MCAST_GRP_ID)
			number = nl_u32(&attr);
		else if (attr.type == CTRL_ATTR_MCAST_GRP_NAME)
			nl_text(&attr, name, sizeof(name));
	}
	if (search->group_name && !strcmp(name, search->group_name))
		search->group = number;
}

static void family_answer(void *context, uint16_t type, const uint8_t *payload, size_t len)
{
	struct family_search *search = context;
	struct nl_attrs attrs;
	struct nl_attr attr;
	struct nl_attr group;

	if (type != GENL_ID_CTRL || len < GENL_HDRLEN)
		return;
	attrs = (struct nl_attrs){payload + GENL_HDRLEN, len - GENL_HDRLEN};
	while (nl_next(&attrs, &attr)) {
		struct nl_attrs groups = nl_nested(&attr);
		uint16_t number;

		if (attr.type == CTRL_ATTR_FAMILY_ID && attr.len >= sizeof(number)) {
			memcpy(&number, attr.value, sizeof(number));
			search->family = number;
		} else if (attr.type == CTRL_ATTR_MCAST_GROUPS) {
			while (nl_next(&groups, &group))
				family_group(search, nl_nested(&group));
		}
	}
}

int nl_family(int fd, struct nl_buffer buffer, const char *name, const char *group_name,
	      uint32_t *group)
{
	struct genlmsghdr header = {.cmd = CTRL_CMD_GETFAMILY, .version = 1};
	struct family_search search = {.group_name = group_name, .family = -ENOENT};
	struct nl_request request;
	int error;

	nl_request_init(&request, GENL_ID_CTRL, 0, &header, sizeof(header));
	nl_request_add(&request, CTRL_ATTR_FAMILY_NAME, name, strlen(name) + 1);
	error = nl_exchange(fd, &request, buffer, family_answer, &search);
	if (group)
		*group = search.group;
	return error ? error : search.family;
}
