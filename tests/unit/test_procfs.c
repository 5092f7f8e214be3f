/* What /proc tells of a thread. */
#include "shim/kernel/procfs.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static int proc;

static void start(void)
{
	proc = open("/proc", O_RDONLY | O_DIRECTORY);
	cr_assert_geq(proc, 0);
}

TestSuite(procfs, .init = start, .timeout = 30);

/* Within a second, as a signal takes its time. */
static bool becomes(int pid, bool running)
{
	for (int i = 0; i < 1000; i++) {
		if (thread_runs(proc, pid, pid) == running)
			return true;
		usleep(1000);
	}
	return false;
}

Test(procfs, a_thread_that_runs_and_one_that_rests)
{
	int pid = fork();

	if (!pid) {
		volatile int forever = 1;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, ") R (S) ");
		while (forever)
			;
	}
	cr_expect(becomes(pid, true));
	kill(pid, SIGSTOP);
	cr_expect(becomes(pid, false), "stopped");
	kill(pid, SIGCONT);
	cr_expect(becomes(pid, true));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	pid = fork();
	if (!pid) {
		pause();
		_exit(0);
	}
	cr_expect(becomes(pid, false), "asleep");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	cr_expect(thread_runs(proc, pid, pid), "nothing is known of it");
}

Test(procfs, no_proc)
{
	int root = open("/dev", O_RDONLY | O_DIRECTORY);

	cr_expect(thread_runs(-1, getpid(), getpid()));
	cr_expect(thread_runs(root, getpid(), getpid()));
}
