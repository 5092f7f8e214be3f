#include "shim/process/runtime.h"
#include "shim/learn/teach.h"
#include "shim/nic/nic_sources.h"
#include "shim/nic/nic_work.h"
#include "shim/policy/start.h"
#include "shim/process/hot.h"
#include "shim/process/machine.h"
#include "shim/process/own_fd.h"
#include "shim/process/self.h"
#include "shim/stat/stat.h"
#include <errno.h>
#include <stddef.h>
#include <unistd.h>

HOT_DATA _Atomic int runtime_state;

struct policy runtime_the_policy;
static struct nic_set nics;
static struct cpu_topology topology;
static struct nic_sources sources;
static struct nic_work work;
static _Atomic int discovered;

void runtime_start(void)
{
	static const int state[] = {
		[ENABLED_NO] = RUNTIME_OFF,
		[ENABLED_OBSERVE] = RUNTIME_OBSERVE,
		[ENABLED_YES] = RUNTIME_ON,
	};

	if (!self_start())
		return;
	policy_start(&runtime_the_policy, environ, program_invocation_name);
	runtime_state =
		runtime_the_policy.disabled ? RUNTIME_OFF : state[runtime_the_policy.shim_enabled];
}

static void keep(int *fd)
{
	*fd = own_fd(*fd);
	own_fd_hold(fd);
}

void runtime_discover(void)
{
	struct self_guard guard;

	if (__builtin_expect(discovered, 1) || self_is_borrowed())
		return;
	self_lock(&guard);
	if (!discovered) {
		nic_sources_open(&sources, &work, false);
		keep(&sources.proc);
		keep(&sources.sys);
		keep(&sources.ioctl);
		keep(&sources.route);
		keep(&sources.generic);
		topology_read(&topology, sources.sys);
		nic_scan(&nics, &runtime_the_policy, &sources);
		machine_start();
		stat_start(&(struct stat_origin){.policy = &runtime_the_policy,
						 .nics = &nics,
						 .online = &topology.online,
						 .program = program_invocation_short_name,
						 .observe = runtime_state == RUNTIME_OBSERVE});
		teach_start();
		discovered = 1;
	}
	self_unlock(&guard);
}

const struct nic_set *runtime_nics(void)
{
	return discovered ? &nics : NULL;
}

const struct cpu_topology *runtime_topology(void)
{
	return discovered ? &topology : NULL;
}

const struct nic_sources *runtime_sources(void)
{
	return discovered ? &sources : NULL;
}

void runtime_confine(void)
{
	if (!discovered || self_is_borrowed() || !own_fd_holds(sources.proc) ||
	    !own_fd_holds(sources.sys))
		return;
	nic_sources_confine(&sources);
}
