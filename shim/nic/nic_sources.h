/* Where discovery reads from: opened once, before an application changes its root directory, drops
 * privileges or is forbidden address families. A member that could not be opened holds -errno, and
 * everything read through it is unknown for that reason. */
#pragma once
#include <stdbool.h>

struct nic_work;

struct nic_sources {
	int proc;           /* directory /proc */
	int sys;            /* directory /sys */
	int ioctl;          /* any AF_INET or AF_INET6 socket, for SIOCETHTOOL */
	int route;          /* NETLINK_ROUTE socket */
	int generic;        /* NETLINK_GENERIC socket */
	int ethtool_family; /* generic netlink family numbers; -errno when the kernel has none */
	int netdev_family;
	bool detail; /* also read what servers do not need: transmit interrupts, XPS, RSS contexts
		      */
	struct nic_work *work; /* see nic_work.h */
};

/* Opens all members close-on-exec; a caller may move the descriptors to other numbers. Who does not
 * scan by them needs no `work`, and is told of no families. */
void nic_sources_open(struct nic_sources *sources, struct nic_work *work, bool detail);
void nic_sources_close(struct nic_sources *sources);

/* Before an application changes its root directory: exchanges the directories for mounts of their
 * own, from which no path leads up. The numbers stay. It takes the right to mount, which those who
 * may chroot() usually have; without it the directories stay as they are. */
void nic_sources_confine(const struct nic_sources *sources);
