/* Counting, and what the interfaces' slots do as interfaces come and go. */
#include "shim/kernel/socket.h"
#include "shim/stat/stat.h"
#include "shim/stat/stat_nic.h"
#include "shim/stat/stat_read.h"
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static struct policy policy;
static struct nic_set nics;
static cpu_set_t online;

static struct nic_view *add_nic(const char *name, uint32_t ifindex, int cpu)
{
	struct nic_view *view = &nics.view[nics.count++];

	*view = (struct nic_view){.ifindex = ifindex, .spreads = cpu >= 0};
	strcpy(view->name, name);
	if (cpu >= 0)
		CPU_SET((unsigned)cpu, &view->cpus);
	return view;
}

static void start_from(bool observe)
{
	stat_start(&(struct stat_origin){.policy = &policy,
					 .nics = &nics,
					 .online = &online,
					 .program = "server",
					 .observe = observe});
}

static void start(void)
{
	cr_assert(self_start());
	policy_defaults(&policy);
	CPU_SET(0, &online);
	CPU_SET(1, &online);
	add_nic("eth0", 2, 0);
	add_nic("eth1", 3, 1);
	start_from(false);
	cr_assert_not_null(stat_shared);
}

static uint64_t total(enum stat_counter counter)
{
	static struct stat_memory copy;
	struct stat_totals totals;

	memcpy(&copy, stat_shared, sizeof(copy));
	cr_assert_eq(stat_check(&copy, sizeof(copy)), 0);
	stat_sum(&totals, &copy);
	return totals.counter[counter];
}

TestSuite(stat, .init = start);

static void *count_often(void *unused)
{
	(void)unused;
	for (int i = 0; i < 100000; i++)
		stat_count(STAT_ACCEPT_MEMBER);
	return NULL;
}

Test(stat, threads_and_children_count_together_and_lose_nothing)
{
	pthread_t thread[8];

	for (int i = 0; i < 8; i++)
		pthread_create(&thread[i], NULL, count_often, NULL);
	for (int i = 0; i < 8; i++)
		pthread_join(thread[i], NULL);
	pid_t child = fork();
	if (!child) {
		count_often(NULL);
		_exit(0);
	}
	count_often(NULL);
	waitpid(child, NULL, 0);
	cr_expect_eq(total(STAT_ACCEPT_MEMBER), 1000000);
}

static void *count_once(void *unused)
{
	(void)unused;
	stat_count(STAT_ACCEPT_COMMON);
	return NULL;
}

Test(stat, more_threads_than_blocks)
{
	pthread_t thread;

	for (int i = 0; i < STAT_BLOCKS_MAX + 100; i++) {
		pthread_create(&thread, NULL, count_once, NULL);
		pthread_join(thread, NULL);
	}
	cr_expect_eq(total(STAT_ACCEPT_COMMON), STAT_BLOCKS_MAX + 100);
}

Test(stat, an_interface_keeps_its_slot)
{
	unsigned slot = stat_nic_slot(stat_shared, 3);

	cr_assert_neq(slot, STAT_NO_NIC);
	stat_predicted(3, true);
	nics.count = 0;
	add_nic("eth1", 3, 1);
	add_nic("eth9", 9, 0);
	stat_set_nics(&nics, &online);
	cr_expect_eq(stat_nic_slot(stat_shared, 3), slot);
	cr_expect_eq(stat_shared->nic[slot].right, 1);
	cr_expect(stat_shared->nic[stat_nic_slot(stat_shared, 2)].gone);
	cr_expect_neq(stat_nic_slot(stat_shared, 9), STAT_NO_NIC);
	cr_expect_eq(CPU_COUNT(&stat_shared->receiving), 2);
}

Test(stat, the_slot_of_one_that_is_gone_is_the_last_to_be_taken)
{
	stat_predicted(2, false);
	for (uint32_t i = 10; i < 10 + NIC_MAX; i++) {
		nics.count = 0;
		add_nic("eth1", 3, 1);
		add_nic("veth", i, -1);
		stat_set_nics(&nics, &online);
		cr_expect_neq(stat_nic_slot(stat_shared, i), STAT_NO_NIC, "%u", i);
	}
	cr_expect_eq(stat_nic_slot(stat_shared, 2), STAT_NO_NIC);
	for (unsigned slot = 0; slot < NIC_MAX; slot++)
		cr_expect_eq(stat_shared->nic[slot].wrong, 0, "its counts went with it");
	cr_expect_neq(stat_nic_slot(stat_shared, 3), STAT_NO_NIC, "who is there stays");
}

Test(stat, no_interface_that_spreads)
{
	nics.count = 0;
	add_nic("lo", 1, -1);
	stat_set_nics(&nics, &online);
	cr_expect(CPU_EQUAL(&stat_shared->receiving, &online));
}

Test(stat, a_listener_has_one_line)
{
	struct socket_address address = {.length = sizeof(struct sockaddr_in)};
	struct sockaddr_in *in = (struct sockaddr_in *)&address.storage;
	int lines = 0;

	in->sin_family = AF_INET;
	in->sin_port = htons(80);
	stat_listener(&address, 0, "refused");
	stat_listener(&address, 2, "a program");
	in->sin_port = htons(81);
	stat_listener(&address, 2, "a program");
	for (int i = 0; i < STAT_LISTENERS_MAX; i++)
		lines += stat_shared->listener[i].state == STAT_LISTENER_SET;
	cr_expect_eq(lines, 2);
	cr_expect_eq(stat_shared->listener[0].members, 2);
	cr_expect_str_eq(stat_shared->listener[0].reason, "a program");
}

Test(stat, an_accepted_connection_tells_its_interface)
{
	for (int family = 0; family < 2; family++) {
		struct socket_address address = {.length = sizeof(address.storage)};
		int listener = socket(family ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
		int client = socket(family ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
		int wanted = -1;

		address.any.sa_family = family ? AF_INET6 : AF_INET;
		if (family)
			((struct sockaddr_in6 *)&address.storage)->sin6_addr = in6addr_loopback;
		else
			((struct sockaddr_in *)&address.storage)->sin_addr.s_addr =
				htonl(INADDR_LOOPBACK);
		cr_assert_eq(bind(listener, &address.any, address.length), 0);
		cr_assert_eq(listen(listener, 1), 0);
		cr_assert_eq(socket_local(listener, &address), 0);
		cr_assert_eq(connect(client, &address.any, address.length), 0);
		int accepted = accept(listener, NULL, NULL);
		cr_expect_eq(socket_interface(accepted), if_nametoindex("lo"));
		wanted = socket_get_int(accepted, IPPROTO_IP, IP_PKTINFO, 0);
		cr_expect_eq(wanted, 0, "the socket is as before");
		close(accepted);
		close(client);
		close(listener);
	}
}

/* What exec leaves: the descriptor, nothing mapped. */
Test(stat, the_next_program_counts_on)
{
	struct stat_memory *before = stat_shared;
	int fd = fcntl(stat_descriptor(), F_DUPFD, 0);

	stat_count(STAT_ACCEPT_MEMBER);
	before->off = 1;
	stat_shared = NULL;
	stat_inherit(fd);
	cr_expect(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	start_from(true);
	cr_assert_not_null(stat_shared);
	cr_expect_neq(stat_shared, before);
	cr_expect(stat_is_off());
	cr_expect_eq(before->every, 1, "the newest program's word holds");
	stat_count(STAT_ACCEPT_MEMBER);
	cr_expect_eq(total(STAT_ACCEPT_MEMBER), 2);
}

Test(stat, what_is_no_memory_of_ours_is_not_taken)
{
	struct stat_memory *before = stat_shared;
	int other = fcntl(stat_descriptor(), F_DUPFD, 0);
	int plain = memfd_create("plain", 0);

	cr_assert_eq(ftruncate(plain, sizeof(*before)), 0);
	before->off = 1;
	before->abi++;
	for (int i = 0; i < 2; i++) {
		stat_inherit(i ? plain : other);
		start_from(false);
		cr_expect_not(stat_is_off(), "a new memory");
		cr_expect_neq(stat_descriptor(), i ? plain : other);
	}
}
