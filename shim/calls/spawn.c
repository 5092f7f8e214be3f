/* Programs started without a fork() of the application's: inside libc, where no wrapper and no
 * handler of pthread_atfork() is met. They begin with the affinity their parent would have without
 * us, and find the ports that were bound. */
#include "shim/calls/real.h"
#include "shim/connect/late_port.h"
#include "shim/process/pinning.h"

EXPORTED int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
			 const posix_spawnattr_t *attributes, char *const *argv, char *const *envp)
{
	late_port_settle_all();
	int cpu = pinning_lift();
	int ret = real_posix_spawn(pid, path, actions, attributes, argv, envp);

	pinning_restore(cpu);
	return ret;
}

EXPORTED int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
			  const posix_spawnattr_t *attributes, char *const *argv, char *const *envp)
{
	late_port_settle_all();
	int cpu = pinning_lift();
	int ret = real_posix_spawnp(pid, file, actions, attributes, argv, envp);

	pinning_restore(cpu);
	return ret;
}

EXPORTED int system(const char *command)
{
	late_port_settle_all();
	int cpu = pinning_lift();
	int ret = real_system(command);

	pinning_restore(cpu);
	return ret;
}

EXPORTED FILE *popen(const char *command, const char *mode)
{
	late_port_settle_all();
	int cpu = pinning_lift();
	FILE *ret = real_popen(command, mode);

	pinning_restore(cpu);
	return ret;
}
