/* Threads that change their affinity change their home with it, and what a thread starts does not
 * inherit our pinning. */
#include "shim/calls/real.h"
#include "shim/connect/home.h"
#include "shim/group/watch.h"
#include "shim/process/pinning.h"
#include "shim/process/runtime.h"

static int moved(int ret)
{
	if (!ret && runtime_on()) {
		watch_thread_moved();
		home_moved();
	}
	return ret;
}

EXPORTED int sched_setaffinity(pid_t pid, size_t size, const cpu_set_t *mask)
{
	return moved(real_sched_setaffinity(pid, size, mask));
}

EXPORTED int pthread_setaffinity_np(pthread_t thread, size_t size, const cpu_set_t *mask)
{
	return moved(real_pthread_setaffinity_np(thread, size, mask));
}

EXPORTED int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
			    void *(*routine)(void *), void *argument)
{
	int cpu = pinning_lift();
	int ret = real_pthread_create(thread, attributes, routine, argument);

	pinning_restore(cpu);
	return ret;
}

EXPORTED int thrd_create(thrd_t *thread, thrd_start_t routine, void *argument)
{
	int cpu = pinning_lift();
	int ret = real_thrd_create(thread, routine, argument);

	pinning_restore(cpu);
	return ret;
}
