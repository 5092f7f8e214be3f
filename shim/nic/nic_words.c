/* The enumerations of nic_view.h, and of the hash that a view holds, in words. */
#include "shim/nic/nic_view.h"

#define WORD(list, index) \
	((unsigned)(index) < sizeof(list) / sizeof(list[0]) && list[index] ? list[index] : "?")

const char *nic_kind_name(enum nic_kind kind)
{
	static const char *const words[NIC_KINDS] = {
		[NIC_VIRTUAL] = "virtual", [NIC_PHYSICAL] = "physical", [NIC_LOOPBACK] = "loopback",
		[NIC_VETH] = "veth",       [NIC_BOND] = "bond",         [NIC_BRIDGE] = "bridge",
		[NIC_VRF] = "vrf",         [NIC_VLAN] = "vlan",         [NIC_MACVLAN] = "macvlan",
		[NIC_TUNNEL] = "tunnel",   [NIC_TUN] = "tun",
	};

	return WORD(words, kind);
}

const char *nic_origin_name(enum nic_origin origin)
{
	static const char *const words[NIC_ORIGINS] = {
		[ORIGIN_UNKNOWN] = "unknown",
		[ORIGIN_IOCTL] = "ethtool ioctl",
		[ORIGIN_NETLINK] = "netlink",
		[ORIGIN_SYSFS] = "/sys",
		[ORIGIN_PROC] = "/proc",
		[ORIGIN_DRIVER] = "driver",
		[ORIGIN_LOWER] = "interface below",
		[ORIGIN_POLICY] = "policy",
		[ORIGIN_WATCHED] = "watched",
	};

	return WORD(words, origin);
}

const char *hash_function_name(enum hash_function function)
{
	static const char *const words[] = {
		[HASH_UNKNOWN] = "unknown", [HASH_TOEPLITZ] = "toeplitz",
		[HASH_XOR] = "xor",         [HASH_CRC32] = "crc32",
		[HASH_NONE] = "none",       [HASH_LEARNED] = "learned"};

	return WORD(words, function);
}

const char *hash_transform_name(enum hash_transform transform)
{
	static const char *const words[] = {[TRANSFORM_NONE] = "none",
					    [TRANSFORM_SYMMETRIC_XOR] = "symmetric-xor",
					    [TRANSFORM_SYMMETRIC_OR_XOR] = "symmetric-or-xor"};

	return WORD(words, transform);
}

const char *hash_fields_name(enum hash_fields fields)
{
	static const char *const words[] = {[FIELDS_4_TUPLE] = "4-tuple",
					    [FIELDS_ADDRESSES] = "addresses",
					    [FIELDS_OTHER] = "other"};

	return WORD(words, fields);
}

const char *nic_value_name(enum nic_value value)
{
	static const char *const words[NIC_VALUES] = {
		[VALUE_FUNCTION] = "function",
		[VALUE_TRANSFORM] = "transform",
		[VALUE_FIELDS] = "fields",
		[VALUE_KEY] = "key",
		[VALUE_TABLE] = "table",
		[VALUE_QUEUES] = "queues",
		[VALUE_QUEUE_CPU] = "queue_cpus",
		[VALUE_TX_CPU] = "tx_cpus",
		[VALUE_RPS] = "rps",
		[VALUE_RFS] = "rfs",
		[VALUE_XPS] = "xps",
		[VALUE_RULES] = "rules",
		[VALUE_CONTEXTS] = "contexts",
	};

	return WORD(words, value);
}

static const struct {
	const char *name;
	const char *text;
} reasons[NIC_REASONS] = {
	[REASON_NONE] = {"none", "nothing speaks against it"},
	[REASON_LOOPBACK] = {"loopback", "packets arrive on the CPU of the sender"},
	[REASON_LOCAL_LINK] = {"local-link",
			       "a link within this host: packets arrive on the CPU of "
			       "the sender, and any RSS is outside our view"},
	[REASON_TUNNEL] = {"tunnel", "the NIC hashes the outer packets"},
	[REASON_NO_LOWER] = {"no-lower", "the interface below is down, unknown, or in another "
					 "network namespace"},
	[REASON_LOWERS_DIFFER] = {"lowers-differ", "replies may come in by any of several "
						   "interfaces that place them differently"},
	[REASON_SINGLE_QUEUE] = {"single-queue", "one receive queue, and no RPS behind it"},
	[REASON_ONE_CPU] = {"one-cpu", "one CPU serves all receive queues"},
	[REASON_POLICY] = {"policy", "the policy says hash = none"},
	[REASON_LEARN] = {"learn", "nothing is known in advance, only watching will tell"},
	[REASON_NO_KEY] = {"no-key", "the driver does not tell the hash key"},
	[REASON_NO_TABLE] = {"no-table", "the driver does not tell the indirection table"},
	[REASON_NO_FUNCTION] = {"no-function", "the driver does not tell the hash function"},
	[REASON_NOT_LINEAR] = {"not-linear", "the hash function is not Toeplitz"},
	[REASON_NO_PORTS] = {"no-ports", "only addresses are hashed: the source port changes "
					 "nothing"},
	[REASON_FIELDS] = {"fields", "the hashed fields are unknown, or not addresses and ports"},
	[REASON_FOLLOWS_FLOW] = {"follows-flow", "replies follow the sending CPU by themselves "
						 "(Flow Director or RFS)"},
	[REASON_RULES] = {"rules", "n-tuple rules overrule the indirection table"},
	[REASON_RSS_OFF] = {"rss-off", "the indirection table names queues that are not in use: "
				       "RSS is off in the device"},
	[REASON_QUEUE_CPU] = {"queue-cpu", "the CPUs of the receive queues are unknown"},
	[REASON_RPS_HASH] = {"rps-hash", "RPS uses a hash of the kernel's own that cannot be "
					 "known"},
	[REASON_RPS_DIFFERS] = {"rps-differs", "the receive queues have unlike RPS masks"},
};

const char *nic_reason_name(enum nic_reason reason)
{
	return (unsigned)reason < NIC_REASONS ? reasons[reason].name : "?";
}

const char *nic_reason_text(enum nic_reason reason)
{
	return (unsigned)reason < NIC_REASONS ? reasons[reason].text : "?";
}
