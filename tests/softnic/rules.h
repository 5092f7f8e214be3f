/* What the soft NIC does with a packet: shared between its XDP program and its loader. */
#pragma once
#include <linux/types.h>

#define SOFTNIC_KEY_MIN     40 /* bytes: the IPv6 4-tuple (36) and a 32 bit window */
#define SOFTNIC_KEY_MAX     52
#define SOFTNIC_INPUT_MAX   36
#define SOFTNIC_BUCKETS_MAX 4096
#define SOFTNIC_QUEUES_MAX  1024

enum softnic_transform { SOFTNIC_PLAIN, SOFTNIC_SYMMETRIC_XOR, SOFTNIC_SYMMETRIC_OR_XOR };
enum softnic_fields { SOFTNIC_4_TUPLE, SOFTNIC_ADDRESSES };

/* SPRAY_FLOW gives each flow a CPU by a hash that is not linear, SPRAY_PACKET each packet one: what
 * a host cannot predict. */
enum softnic_spray { SOFTNIC_NO_SPRAY, SOFTNIC_SPRAY_FLOW, SOFTNIC_SPRAY_PACKET };

/* Toeplitz is linear, so the hash is the XOR of what each input byte contributes. `part` holds that
 * for every position and value, 36 loads for the longest packet instead of 288 shifts. */
struct softnic_rules {
	__u32 part[SOFTNIC_INPUT_MAX][256];
	__u16 cpu[SOFTNIC_BUCKETS_MAX]; /* bucket -> CPU: `queue` and `queue_cpu` in one step */
	__u32 bucket_count;
	__u32 transform;
	__u32 fields;
	__u32 spray;
	__u32 spray_seed;

	/* The configuration the above was made from, kept for `softnic set` and `show`. */
	__u32 key_len;
	__u32 queue_count;
	__u16 queue[SOFTNIC_BUCKETS_MAX]; /* the indirection table */
	__u16 queue_cpu[SOFTNIC_QUEUES_MAX];
	__u8 key[SOFTNIC_KEY_MAX];
};
