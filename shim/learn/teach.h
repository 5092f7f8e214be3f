/* The notebook of this application, for those in the library who see where flows arrive and those
 * who want to know it. */
#pragma once
#include "shim/learn/notebook.h"

/* Makes it, once, under self_lock(), before the application forks: what is learned is shared by
 * inheritance. Where the kernel refuses nothing is learned. */
void teach_start(void);

/* Whether there is one. */
bool teach_is_there(void);

/* Its descriptor, which goes along over exec; -1 where there is none. */
int teach_descriptor(void);
/* It came over exec from the program before, which was the same: teach_start() goes on with it. The
 * descriptor is ours from now on. */
void teach_inherit(int fd);

/* Raised whenever something new was printed: 0 before. */
uint32_t teach_edition(void);

/* What was learned of an interface; false where nothing is, or it cannot be read just now: then
 * something was told of it all the same. */
bool teach_learned(uint32_t ifindex, struct learned *out);
bool teach_has_told(uint32_t ifindex);

/* The fingerprint of what that interface reports and does not do, 0 where there is none. */
uint64_t teach_disproved(uint32_t ifindex);
void teach_disprove(uint32_t ifindex, const char *name, const struct arrival *reported);
/* That fingerprint does not count any more; another does. */
void teach_believe(uint32_t ifindex, uint64_t disproved);

/* Of an interface and family that are learned: one arrival in so many is to be told of; 0: none,
 * for there is no room to write it down. Whether some interface and family wants each. */
unsigned teach_interval(uint32_t ifindex, enum flow_family family);
bool teach_is_curious(void);

/* These are all the interfaces there are. */
void teach_keep(const uint32_t *ifindex, unsigned count);

/* A flow was seen to arrive on a CPU; own_cpu: where the thread runs that made the flow, or -1.
 * reported: as notebook_begin(). No system call. */
void teach(uint32_t ifindex, const char *name, const struct rss_hash *reported,
	   const struct flow *flow, int cpu, int own_cpu);

/* This process told of something since it studied last. */
extern _Atomic bool teach_told;

/* Makes something of what was seen, if anybody saw anything: for a thread that is about to wait. */
void teach_study(uint64_t now_ms);

/* A port in [lo, hi] with which the flow would teach something; 0 where nothing is to be learned.
 * learned: something is known by now, so that a port which is not sure to teach is none. */
uint16_t teach_probe(uint32_t ifindex, const struct flow *flow, uint16_t lo, uint16_t hi,
		     bool learned, uint64_t now_ms);
