#include "shim/command/screen.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

/* The second screen, without cursor and without going on in the next line; and back. */
#define ENTER "\033[?1049h\033[?25l\033[?7l"
#define LEAVE "\033[?7h\033[?25h\033[?1049l"
#define HOME  "\033[H"
/* The rest of the line, the rest of the screen. */
#define CLEAR_LINE "\033[K"
#define CLEAR_REST "\033[J"

#define WIDTH  100 /* where there is no terminal */
#define HEIGHT 24

static volatile sig_atomic_t ended;
static struct termios before;
static sigset_t waiting; /* signals let in while waiting only */
static bool drawing, keys;
static FILE *terminal;
static char *frame;
static size_t frame_size;

static void on_signal(int signal)
{
	if (signal != SIGWINCH)
		ended = 1;
}

static void measure(struct screen *screen)
{
	struct winsize size;

	screen->width = WIDTH;
	screen->height = HEIGHT;
	if (!screen->is_terminal || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0)
		return;
	screen->width = size.ws_col ? size.ws_col : WIDTH;
	screen->height = size.ws_row ? size.ws_row : HEIGHT;
}

static void take_keys(void)
{
	struct termios raw;

	keys = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &before) == 0;
	if (!keys)
		return;
	raw = before;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	/* A stopped process leaves the terminal as it is. */
	raw.c_cc[VSUSP] = _POSIX_VDISABLE;
	tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
}

void screen_open(struct screen *screen)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH};
	const char *type = getenv("TERM");
	struct sigaction action = {.sa_handler = on_signal};
	sigset_t mine;

	screen->is_terminal = isatty(STDOUT_FILENO) && type && strcmp(type, "dumb") != 0;
	screen->color = screen->is_terminal && !getenv("NO_COLOR");
	measure(screen);
	if (!screen->is_terminal)
		return;
	sigemptyset(&mine);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		sigaction(signals[i], &action, NULL);
		sigaddset(&mine, signals[i]);
	}
	sigprocmask(SIG_BLOCK, &mine, &waiting);
	take_keys();
	fputs(ENTER, stdout);
	fflush(stdout);
	drawing = true;
}

void screen_close(void)
{
	if (!drawing)
		return;
	fputs(LEAVE, stdout);
	fflush(stdout);
	if (keys)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
	drawing = false;
}

bool screen_begin(struct screen *screen)
{
	measure(screen);
	FILE *memory = open_memstream(&frame, &frame_size);
	if (!memory)
		return false;
	/* glibc lets it be assigned: what is printed needs to know nothing of frames. */
	terminal = stdout;
	stdout = memory;
	return true;
}

static void draw(unsigned height)
{
	const char *line = frame, *end;

	fputs(HOME, stdout);
	for (unsigned row = 1; *line; row++) {
		end = strchr(line, '\n');
		size_t length = end ? (size_t)(end - line) : strlen(line);
		bool cut = row == height && end && end[1];

		if (cut)
			fputs("... (the terminal is too low for the rest)", stdout);
		else
			fwrite(line, 1, length, stdout);
		/* A newline in the last row would scroll. */
		fputs(row == height ? CLEAR_LINE : CLEAR_LINE "\n", stdout);
		if (row == height || !end)
			break;
		line = end + 1;
	}
	fputs(CLEAR_REST, stdout);
}

void screen_end(const struct screen *screen)
{
	fclose(stdout);
	stdout = terminal;
	if (screen->is_terminal)
		draw(screen->height);
	else
		fwrite(frame, 1, frame_size, stdout);
	fflush(stdout);
	free(frame);
}

static bool is_quit_pressed(void)
{
	char key = 0;
	ssize_t got = read(STDIN_FILENO, &key, 1);

	/* Whoever closed the terminal does not look at it any more. */
	return got == 0 || key == 'q' || key == 'Q';
}

bool screen_wait(const struct screen *screen, unsigned ms)
{
	struct pollfd poll = {.fd = keys ? STDIN_FILENO : -1, .events = POLLIN};
	struct timespec wait = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
	int ready = ppoll(&poll, 1, &wait, screen->is_terminal ? &waiting : NULL);

	if (ready < 0 && errno != EINTR)
		return false;
	return !ended && !(ready > 0 && is_quit_pressed());
}
