/* Threads that block in accept() on one socket, pinned and not: every connection is served soon. */
#include "tests/behaviour/behaviour.h"
#include <pthread.h>
#include <sched.h>

#define THREADS 6
#define CLIENTS 240

static int listener;
static _Atomic int served;

static void *serve(void *number)
{
	long at = (long)number;

	if (at < 4)
		pin(at % 2);
	else
		unpin();
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		if (fd < 0)
			return NULL;
		served++;
		if (write(fd, "x", 1) != 1)
			served--;
		close(fd);
	}
}

void behaviour(void)
{
	pthread_t thread;
	double worst = 0;

	listener = tcp_listener(0);
	unpin();
	for (long i = 0; i < THREADS; i++)
		NEED(!pthread_create(&thread, NULL, serve, (void *)i));
	sleep_ms(300);
	for (int i = 0; i < CLIENTS; i++) {
		double start = now_ms();
		int one = connected((enum way)(i % WAYS), port_of(listener));
		CHECK(is_readable(one, 3000));
		if (now_ms() - start > worst)
			worst = now_ms() - start;
		gone(one);
	}
	CHECK(served == CLIENTS);
	CHECK(worst < 1000);
	/* Bursts: several at once. */
	for (int round = 0; round < 20; round++) {
		int many[12];
		double start = now_ms();
		for (int i = 0; i < 12; i++)
			many[i] = connected((enum way)(i % WAYS), port_of(listener));
		for (int i = 0; i < 12; i++) {
			CHECK(is_readable(many[i], 3000));
			gone(many[i]);
		}
		CHECK(now_ms() - start < 1500);
	}
}
