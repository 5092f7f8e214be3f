/* accept() that blocks: what wakes it, how long it waits, what ends it. */
#include "tests/behaviour/behaviour.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>

static _Atomic int handled;

static void note(int signal)
{
	(void)signal;
	handled++;
}

static void wakes_up(int listener)
{
	for (enum way way = LOOPBACK; way < WAYS; way++) {
		pid_t pid = client_later(way, port_of(listener), 300);
		double start = now_ms();
		int fd = accept(listener, NULL, NULL);
		CHECK(fd >= 0 && now_ms() - start >= 250);
		CHECK(now_ms() - start < 2000);
		close(fd);
		end_child(pid);
	}
}

static void times_out(int listener)
{
	struct timeval patience = {.tv_usec = 300000}, none = {0};

	CHECK(!setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)));
	double start = now_ms();
	CHECK_FAILS(accept(listener, NULL, NULL), EAGAIN);
	CHECK(now_ms() - start >= 299 && now_ms() - start < 1500);

	/* With a timeout a signal ends it whether or not the handler restarts calls. */
	on_signal(SIGUSR1, note, true);
	pid_t pid = signal_later(SIGUSR1, 50);
	CHECK_FAILS(accept(listener, NULL, NULL), EINTR);
	exit_of(pid);
	pid = client_later(CPU0, port_of(listener), 100);
	int fd = accept(listener, NULL, NULL);
	CHECK(fd >= 0);
	close(fd);
	end_child(pid);
	CHECK(!setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none)));
}

static void signals_end_it(int listener)
{
	handled = 0;
	on_signal(SIGUSR1, note, false);
	pid_t pid = signal_later(SIGUSR1, 300);
	CHECK_FAILS(accept(listener, NULL, NULL), EINTR);
	CHECK(handled == 1);
	exit_of(pid);
	/* Not in the first moments, where one wait may become another. */
	pid = signal_later(SIGUSR1, 900);
	CHECK_FAILS(accept(listener, NULL, NULL), EINTR);
	exit_of(pid);
	CHECK(handled == 2);

	on_signal(SIGUSR1, note, true);
	pid = signal_later(SIGUSR1, 100);
	pid_t other = client_later(CPU0, port_of(listener), 600);
	double start = now_ms();
	int fd = accept(listener, NULL, NULL);
	CHECK(fd >= 0 && now_ms() - start >= 550);
	CHECK(handled == 3);
	close(fd);
	exit_of(pid);
	end_child(other);
	/* An ignored one does nothing. */
	signal(SIGUSR1, SIG_IGN);
	pid = signal_later(SIGUSR1, 100);
	other = client_later(CPU1, port_of(listener), 400);
	CHECK((fd = accept(listener, NULL, NULL)) >= 0);
	close(fd);
	exit_of(pid);
	end_child(other);
}

static void *shut_down(void *listener)
{
	sleep_ms(300);
	shutdown(*(int *)listener, SHUT_RD);
	return NULL;
}

void behaviour(void)
{
	int listener = tcp_listener(0);
	pthread_t thread;

	wakes_up(listener);
	times_out(listener);
	signals_end_it(listener);
	NEED(!pthread_create(&thread, NULL, shut_down, &listener));
	CHECK_FAILS(accept(listener, NULL, NULL), EINVAL);
	pthread_join(thread, NULL);
}
