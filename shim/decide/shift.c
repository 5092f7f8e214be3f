#include "shim/decide/shift.h"

/* Below 400 connections a second all of them stay at home. */
#define BUSY 40
/* Others took one in so many of a queue: more than chance makes uneven, see balance_older_ms(). */
#define OVERLOADED 8
/* More windows that ask for a step than that do not, until it is made. */
#define LASTING 3
/* The same where nobody's queue is long: a try, after which stealing tells. */
#define QUIET 20

/* What the last window brought. */
struct window {
	const struct shift_input *input;
	uint32_t came[SLOTS_MAX], lost[SLOTS_MAX];
	bool is_busy;
};

static unsigned away_of(const struct shift_slot *slot)
{
	uint64_t parts = slot->parts;
	unsigned away = 0;

	for (; parts; parts >>= 8)
		away += !!(parts & 255);
	return away;
}

static bool is_usable(const struct shift_input *input, unsigned slot)
{
	return slot < input->slot_count && slot_in(&input->watched, slot);
}

static bool is_overloaded(const struct window *window, unsigned slot)
{
	return window->lost[slot] && window->lost[slot] >= window->came[slot] / OVERLOADED;
}

/* An eighth of what arrives on the slot's CPU. */
static uint32_t eighth_of(const struct shift *shift, const struct window *window, unsigned slot)
{
	unsigned away = away_of(&shift->slot[slot]);

	return window->came[slot] / (away < SHIFT_PARTS ? SHIFT_PARTS - away : 1);
}

/* Whether any slot's connections are steered to this one: it has enough of its own to do first. */
static bool is_target(const struct shift *shift, const struct window *window, unsigned slot)
{
	for (unsigned s = 0; s < window->input->slot_count; s++)
		for (unsigned p = 0; s != slot && p < SHIFT_PARTS; p++)
			if (shift_target(shift->slot[s].parts, s, p) == slot)
				return true;
	return false;
}

/* Who would take another eighth of the slot's, and have no more then than is left; -1: nobody. */
static int taker_of(const struct shift *shift, const struct window *window, unsigned slot)
{
	uint32_t eighth = eighth_of(shift, window, slot);
	int best = -1;

	for (unsigned s = 0; s < window->input->slot_count; s++)
		if (s != slot && is_usable(window->input, s) && !is_overloaded(window, s) &&
		    !shift->slot[s].parts && window->came[s] + 2 * eighth <= window->came[slot] &&
		    (best < 0 || window->came[s] < window->came[best]))
			best = (int)s;
	return best;
}

/* The eighth that should come home first: of the slot that gets most; -1: none is away. */
static int first_back(const struct shift *shift, const struct window *window, unsigned slot)
{
	uint64_t parts = shift->slot[slot].parts;
	uint32_t most = 0;
	int best = -1;

	for (unsigned p = 0; p < SHIFT_PARTS; p++) {
		unsigned target = shift_target(parts, slot, p);
		if (target == slot)
			continue;
		uint32_t came =
			is_usable(window->input, target) ? window->came[target] : UINT32_MAX;
		if (best < 0 || came > most) {
			most = came;
			best = (int)p;
		}
	}
	return best;
}

static bool is_to_go_back(const struct shift *shift, const struct window *window, unsigned slot,
			  unsigned target)
{
	return !window->is_busy || !is_usable(window->input, target) ||
	       !is_usable(window->input, slot) ||
	       window->came[slot] + 2 * eighth_of(shift, window, slot) <= window->came[target];
}

static void count_streak(struct shift_slot *slot, int way)
{
	int streak = slot->streak;

	if (!way)
		slot->streak = streak > 0 ? streak - 1 : streak < 0 ? streak + 1 : 0;
	else
		slot->streak = (way > 0) == (streak > 0) ? streak + way : way;
}

/* part goes to that slot, its own or another. */
static void steer(struct shift *shift, struct window *window, unsigned slot, unsigned part,
		  unsigned target)
{
	struct shift_slot *from = &shift->slot[slot];
	uint64_t parts = from->parts, distance = (target - slot) % SLOTS_MAX;
	unsigned before = shift_target(parts, slot, part);
	uint32_t eighth = eighth_of(shift, window, slot);

	from->parts = (parts & ~(UINT64_C(255) << (8 * part))) | distance << (8 * part);
	from->streak = 0;
	from->quiet = 0;
	/* The next to be decided on must see it. */
	window->came[target] += eighth;
	if (before < window->input->slot_count)
		window->came[before] -=
			eighth < window->came[before] ? eighth : window->came[before];
}

static bool step(struct shift *shift, struct window *window, unsigned s)
{
	struct shift_slot *slot = &shift->slot[s];
	int back = first_back(shift, window, s), taker = -1, way = 0;
	unsigned from = back < 0 ? s : shift_target(slot->parts, s, (unsigned)back);

	if (back >= 0 && is_to_go_back(shift, window, s, from)) {
		way = -1;
	} else if (window->is_busy && is_usable(window->input, s) && is_overloaded(window, s) &&
		   away_of(slot) < SHIFT_PARTS - 1 && !is_target(shift, window, s)) {
		taker = taker_of(shift, window, s);
		way = taker >= 0;
	}
	count_streak(slot, way);
	bool is_quiet = back >= 0 && !window->lost[s] &&
			(from >= window->input->slot_count || !window->lost[from]);
	slot->quiet = is_quiet ? slot->quiet + 1 : 0;
	if (slot->streak <= -LASTING || slot->quiet >= QUIET) {
		steer(shift, window, s, (unsigned)back, s);
		return true;
	}
	if (slot->streak < LASTING)
		return false;
	unsigned part = 0;
	while (shift_target(slot->parts, s, part) != s)
		part++;
	steer(shift, window, s, part, (unsigned)taker);
	return true;
}

bool shift_follow(struct shift *shift, const struct shift_input *input)
{
	struct window window = {.input = input};
	uint64_t passed = input->passed_ms ? input->passed_ms : 1, sum = 0;
	unsigned away = 0;
	bool changed = false;

	for (unsigned s = 0; s < input->slot_count; s++) {
		struct shift_slot *slot = &shift->slot[s];
		uint64_t lost = input->lost[s] - slot->lost,
			 came = input->local[s] - slot->local + lost;
		window.lost[s] = (uint32_t)(lost * SHIFT_WINDOW_MS / passed);
		window.came[s] = (uint32_t)(came * SHIFT_WINDOW_MS / passed);
		sum += window.came[s];
		slot->local = input->local[s];
		slot->lost = input->lost[s];
	}
	window.is_busy = sum >= BUSY;
	for (unsigned s = 0; s < input->slot_count; s++) {
		changed |= step(shift, &window, s);
		away += away_of(&shift->slot[s]);
	}
	shift->away = away;
	return changed;
}
