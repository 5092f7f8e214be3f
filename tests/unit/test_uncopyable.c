/* Listeners with keys are told from those without, also where nobody saw them set. */
#include "shim/kernel/uncopyable.h"
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int listening(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	cr_assert_eq(bind(fd, (void *)&address, sizeof(address)), 0);
	cr_assert_eq(listen(fd, 8), 0);
	return fd;
}

static void set_key(int fd, int length)
{
	struct tcp_md5sig key = {.tcpm_keylen = (uint16_t)length};
	struct sockaddr_in peer = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0a000001)};

	memcpy(&key.tcpm_addr, &peer, sizeof(peer));
	memcpy(key.tcpm_key, "key", 3);
	if (setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &key, sizeof(key)))
		cr_skip_test("no TCP_MD5SIG here: error %d", errno);
}

Test(uncopyable, a_key)
{
	int one = listening(), other = listening();

	if (geteuid())
		cr_skip_test("keys are shown to root only");
	cr_expect(!uncopyable_is(one) && !uncopyable_is(other));
	set_key(one, 3);
	errno = 77;
	cr_expect(uncopyable_is(one), "it has a key");
	cr_expect(!uncopyable_is(other), "the other has none");
	cr_expect_eq(errno, 77);
	set_key(one, 0);
	cr_expect(!uncopyable_is(one), "the key was taken away");
}

Test(uncopyable, no_socket)
{
	int null = open("/dev/null", O_RDONLY);

	cr_expect(!uncopyable_is(-1));
	cr_expect(!uncopyable_is(null));
}

Test(uncopyable, options)
{
	cr_expect(uncopyable_option(IPPROTO_TCP, TCP_MD5SIG));
	cr_expect(uncopyable_option(IPPROTO_TCP, TCP_MD5SIG_EXT));
	cr_expect(uncopyable_option(IPPROTO_TCP, 38), "TCP_AO_ADD_KEY");
	cr_expect(uncopyable_option(IPPROTO_IP, IP_IPSEC_POLICY));
	cr_expect(uncopyable_option(IPPROTO_IPV6, IPV6_XFRM_POLICY));
	cr_expect(!uncopyable_option(SOL_SOCKET, TCP_MD5SIG));
	cr_expect(!uncopyable_option(IPPROTO_TCP, TCP_NODELAY));
	cr_expect(!uncopyable_option(IPPROTO_TCP, TCP_ULP), "of each connection that TLS has");
}
