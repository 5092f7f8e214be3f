/* The receive side of a NIC with RSS, for one end of a veth pair: hash the TCP 4-tuple, look the
 * bucket up, and let the CPU of its queue run the stack. A CPUMAP entry is a kernel thread bound to
 * its CPU that builds the skb and enters the stack there, as a queue's softirq would.
 *
 * Everything that is not plain TCP (ARP, neighbour discovery, ICMP, fragments, IPv6 extension
 * headers) stays on the CPU that sent it. */
#include "rules.h"
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_CPUMAP);
	__uint(max_entries, 1); /* the loader sizes it to the machine */
	__type(key, __u32);
	__type(value, struct bpf_cpumap_val);
} cpus SEC(".maps");

/* Two sets: the loader writes the one that is not in force and then switches, so that no packet
 * sees half of a change. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct softnic_rules);
} rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} in_force SEC(".maps");

/* Words are as they lie in the packet: the first byte on the wire is the lowest of a word, the BPF
 * target being little-endian as the CPUs are. `ports` follows the address words. */
struct tuple {
	__u32 source[4];
	__u32 destination[4];
	__u16 source_port, destination_port;
	__u32 words; /* of an address: 1 or 4 */
};

#define REPEAT _Pragma("unroll") for

static __always_inline __u32 word_hash(const struct softnic_rules *r, __u32 at, __u32 word)
{
	return r->part[at][word & 0xff] ^ r->part[at + 1][word >> 8 & 0xff] ^
	       r->part[at + 2][word >> 16 & 0xff] ^ r->part[at + 3][word >> 24];
}

/* `words` is a constant in each caller: the verifier sees straight code. */
static __always_inline __u32 toeplitz(const struct softnic_rules *r, const struct tuple *t,
				      const int words)
{
	__u32 ports = t->source_port | (__u32)t->destination_port << 16;
	__u32 hash = 0;

	REPEAT(int i = 0; i < words; i++)
	{
		hash ^= word_hash(r, 4 * i, t->source[i]);
		hash ^= word_hash(r, 4 * (words + i), t->destination[i]);
	}
	if (r->fields == SOFTNIC_4_TUPLE)
		hash ^= word_hash(r, 8 * words, ports);
	return hash;
}

/* What Linux calls RXH_XFRM_SYM_XOR and RXH_XFRM_SYM_OR_XOR: both directions hash alike. */
static __always_inline void symmetric(struct tuple *t, __u32 transform, const int words)
{
	int or_first = transform == SOFTNIC_SYMMETRIC_OR_XOR;

	REPEAT(int i = 0; i < words; i++)
	{
		__u32 both = t->source[i] ^ t->destination[i];

		t->source[i] = or_first ? t->source[i] | t->destination[i] : both;
		t->destination[i] = both;
	}
	__u16 both = t->source_port ^ t->destination_port;

	t->source_port = or_first ? t->source_port | t->destination_port : both;
	t->destination_port = both;
}

/* Multiplications carry, so no linear map describes this one. */
static __always_inline __u32 mix(__u32 hash, __u32 word)
{
	hash = (hash ^ word) * 0x9e3779b1;
	return (hash ^ hash >> 15) * 0x85ebca6b;
}

static __always_inline __u32 scatter(const struct softnic_rules *r, const struct tuple *t,
				     const int words)
{
	__u32 hash = mix(r->spray_seed, t->source_port | (__u32)t->destination_port << 16);

	if (r->spray == SOFTNIC_SPRAY_PACKET)
		return bpf_get_prandom_u32();
	REPEAT(int i = 0; i < words; i++)
	hash = mix(mix(hash, t->source[i]), t->destination[i]);
	return hash ^ hash >> 16;
}

static __always_inline __u32 flow_hash(const struct softnic_rules *r, struct tuple *t,
				       const int words)
{
	if (r->spray != SOFTNIC_NO_SPRAY)
		return scatter(r, t, words);
	if (r->transform != SOFTNIC_PLAIN)
		symmetric(t, r->transform, words);
	return toeplitz(r, t, words);
}

/* Nonzero if the packet is one the NIC spreads. */
static __always_inline int parse(void *at, void *end, struct tuple *t)
{
	struct ethhdr *eth = at;
	struct tcphdr *tcp;

	if ((void *)(eth + 1) > end)
		return 0;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = (void *)(eth + 1);

		/* 0x3fff: more fragments, or not the first: only the first one has ports. */
		if ((void *)(ip + 1) > end || ip->protocol != IPPROTO_TCP || ip->ihl != 5 ||
		    ip->frag_off & bpf_htons(0x3fff))
			return 0;
		t->source[0] = ip->saddr;
		t->destination[0] = ip->daddr;
		t->words = 1;
		tcp = (void *)(ip + 1);
	} else if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = (void *)(eth + 1);

		if ((void *)(ip + 1) > end || ip->nexthdr != IPPROTO_TCP)
			return 0;
		__builtin_memcpy(t->source, &ip->saddr, sizeof(t->source));
		__builtin_memcpy(t->destination, &ip->daddr, sizeof(t->destination));
		t->words = 4;
		tcp = (void *)(ip + 1);
	} else {
		return 0;
	}
	if ((void *)(tcp + 1) > end)
		return 0;
	t->source_port = tcp->source;
	t->destination_port = tcp->dest;
	return 1;
}

SEC("xdp")
int softnic(struct xdp_md *ctx)
{
	struct tuple t;
	__u32 zero = 0;

	if (!parse((void *)(long)ctx->data, (void *)(long)ctx->data_end, &t))
		return XDP_PASS;

	__u32 *current = bpf_map_lookup_elem(&in_force, &zero);
	if (!current)
		return XDP_ABORTED;
	struct softnic_rules *r = bpf_map_lookup_elem(&rules, current);
	if (!r || !r->bucket_count)
		return XDP_ABORTED;

	__u32 hash = t.words == 1 ? flow_hash(r, &t, 1) : flow_hash(r, &t, 4);
	__u32 bucket = hash % r->bucket_count;
	if (bucket >= SOFTNIC_BUCKETS_MAX)
		return XDP_ABORTED;
	/* A CPU without an entry drops: a wrong set-up must not look like a working one. */
	return bpf_redirect_map(&cpus, r->cpu[bucket], XDP_ABORTED);
}

char _license[] SEC("license") = "Dual MIT/GPL";
