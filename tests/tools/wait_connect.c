/* wait_connect ADDRESS PORT SECONDS: one thread waits for events of a listener while the other
 * makes connections to an IPv4 address; prints the milliseconds that the slowest connect() took. No
 * call of its own is an ioctl(). */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int listener;

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1000 + (double)now.tv_nsec / 1000000;
}

static void *wait_for_events(void *unused)
{
	struct epoll_event event = {.events = EPOLLIN};
	int epfd = epoll_create1(0);

	epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event);
	for (;;)
		epoll_wait(epfd, &event, 1, -1);
	return unused;
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = {.sin_family = AF_INET}, any = {.sin_family = AF_INET};
	double worst = 0;
	pthread_t waiting;

	if (argc != 4 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1) {
		fprintf(stderr, "usage: wait_connect ADDRESS PORT SECONDS\n");
		return 2;
	}
	to.sin_port = htons((uint16_t)atoi(argv[2]));
	listener = socket(AF_INET, SOCK_STREAM, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&any, sizeof(any)) ||
	    listen(listener, 8) || pthread_create(&waiting, NULL, wait_for_events, NULL))
		return 1;
	sleep(1);
	double end = now_ms() + 1000 * atof(argv[3]);
	while (now_ms() < end) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		double before = now_ms();
		if (connect(fd, (struct sockaddr *)&to, sizeof(to)))
			return 1;
		double took = now_ms() - before;
		worst = took > worst ? took : worst;
		close(fd);
		usleep(20000);
	}
	printf("%.0f\n", worst);
	return 0;
}
