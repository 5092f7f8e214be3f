/* Questions to and copies of sockets. Raw system calls: results or -errno, errno untouched. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* Linux 5.0 and 6.3; older headers do not have them. The level of the second is IPPROTO_IP for IPv6
 * sockets too: at IPPROTO_IPV6 the number is another option's. */
#define SO_BINDTOIFINDEX_OPTION    62
#define IP_LOCAL_PORT_RANGE_OPTION 51
/* Linux 5.14. */
#define SO_NETNS_COOKIE_OPTION 71

struct socket_address {
	socklen_t length;
	union {
		struct sockaddr any;
		struct sockaddr_storage storage;
	};
};

/* Where a socket listens. Sockets with one address are as good as each other only where the rest is
 * the same, too. */
struct socket_place {
	struct socket_address address;
	uint64_t net;    /* identity of its network name space; 0 where the kernel does not tell */
	uint32_t device; /* SO_BINDTODEVICE: takes only what comes in there; 0: any */
};

int socket_get(int fd, int level, int name, void *value, socklen_t *length);
int socket_set(int fd, int level, int name, const void *value, socklen_t length);
/* An int option, or fallback where the kernel refuses. */
int socket_get_int(int fd, int level, int name, int fallback);
int socket_set_int(int fd, int level, int name, int value);

/* The port of an IPv4 or IPv6 address in host order, 0 otherwise. */
uint16_t socket_port(const struct socket_address *address);
bool socket_address_equal(const struct socket_address *a, const struct socket_address *b);
int socket_local(int fd, struct socket_address *address);
bool socket_place_equal(const struct socket_place *a, const struct socket_place *b);
int socket_place(int fd, struct socket_place *place);
/* Whether a TCP socket is in another network name space than what the calling thread makes: sockets
 * stay where they were made, threads may go elsewhere, and descriptors come from anywhere. */
bool socket_is_elsewhere(int fd);

/* True for a TCP socket over IPv4 or IPv6 (MPTCP, SCTP and the rest are not). */
bool socket_is_tcp(int fd);
bool socket_is_listening(int fd);
/* A TCP socket that listens, or could: one that is not connected. */
bool socket_may_listen(int fd);
/* The kernel's identity of the socket, the same in every process; 0 where refused. */
uint64_t socket_cookie(int fd);
/* CPU that processed the socket's last packet, -1 unknown. */
int socket_incoming_cpu(int fd);
/* Interface that an accepted connection came in by, 0 unknown. Up to four system calls, after which
 * the socket is as before. */
uint32_t socket_interface(int fd);
/* User that created the socket, or -errno: sockets of one reuseport group share it. */
int socket_owner(int fd);
bool socket_is_blocking(int fd);
