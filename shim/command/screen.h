/* A terminal that is drawn on frame by frame, and left as it was found. */
#pragma once
#include <stdbool.h>

struct screen {
	bool is_terminal; /* else frames follow each other, as they are */
	bool color;
	unsigned width, height;
};

/* Takes the terminal of standard output, if that is one. */
void screen_open(struct screen *screen);
/* Gives it back. */
void screen_close(void);

/* Collects what is printed on standard output from here on, to be shown at once: on a terminal as
 * many lines as it has. Returns false where there is no memory. */
bool screen_begin(struct screen *screen);
void screen_end(const struct screen *screen);

/* Waits so long, or until a key is pressed or the terminal changes its size. Returns false when it
 * is time to go: q was pressed, or a signal said so. */
bool screen_wait(const struct screen *screen, unsigned ms);
