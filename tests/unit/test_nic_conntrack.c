/* Source address rewriting, seen in connection tracking. */
#include "shim/nic/conntrack_line.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct conntrack_snat snat;

static const char masqueraded[] =
	"ipv4     2 tcp      6 431996 ESTABLISHED src=172.17.0.2 dst=93.184.216.34 sport=41022 "
	"dport=443 src=93.184.216.34 dst=192.0.2.7 sport=443 dport=41022 [ASSURED] mark=0 zone=0 "
	"use=2\n";

Test(nic_conntrack, masqueraded)
{
	cr_assert(conntrack_line_snat(masqueraded, &snat));
	cr_expect_eq(snat.family, AF_INET);
	cr_expect_str_eq(snat.from, "172.17.0.2");
	cr_expect_str_eq(snat.to, "192.0.2.7");
	cr_expect_str_eq(snat.remote, "93.184.216.34");
}

Test(nic_conntrack, not_rewritten)
{
	cr_expect_not(conntrack_line_snat(
		"ipv4     2 tcp      6 7 TIME_WAIT src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 "
		"src=10.0.0.2 dst=10.0.0.1 sport=2 dport=1 [ASSURED] mark=0 use=1\n",
		&snat));
	/* A port redirected on the way in is not our source. */
	cr_expect_not(conntrack_line_snat(
		"ipv4     2 tcp      6 7 ESTABLISHED src=10.0.0.9 dst=192.0.2.7 sport=1 dport=80 "
		"src=172.17.0.2 dst=10.0.0.9 sport=80 dport=1 [ASSURED] mark=0 use=1\n",
		&snat));
	cr_expect_not(conntrack_line_snat(
		"ipv4     2 udp      17 7 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=53 "
		"src=10.0.0.2 dst=192.0.2.7 sport=53 dport=1 mark=0 use=1\n",
		&snat));
}

Test(nic_conntrack, ipv6)
{
	cr_assert(conntrack_line_snat(
		"ipv6     10 tcp      6 117 SYN_SENT src=fd00:0000:0000:0000:0000:0000:0000:0002 "
		"dst=2001:0db8:0000:0000:0000:0000:0000:0001 sport=41022 dport=443 [UNREPLIED] "
		"src=2001:0db8:0000:0000:0000:0000:0000:0001 "
		"dst=2001:0db8:0000:0000:0000:0000:0000:0099 sport=443 dport=41022 mark=0 use=2\n",
		&snat));
	cr_expect_eq(snat.family, AF_INET6);
	cr_expect_str_eq(snat.to, "2001:0db8:0000:0000:0000:0000:0000:0099");
}

Test(nic_conntrack, damaged)
{
	char cut[sizeof(masqueraded)];

	for (size_t len = 0; len < strlen(masqueraded) - 80; len++) {
		snprintf(cut, sizeof(cut), "%.*s", (int)len, masqueraded);
		conntrack_line_snat(cut, &snat);
	}
	cr_expect_not(conntrack_line_snat("", &snat));
	cr_expect_not(conntrack_line_snat(" tcp  src= dst= src= dst=", &snat));
	cr_expect_not(conntrack_line_snat(
		" tcp  src=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa dst=b "
		"src=b dst=c",
		&snat));
}
