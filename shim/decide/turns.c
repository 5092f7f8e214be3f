#include "shim/decide/turns.h"

/* An order has to be seen three times around, and no fewer numbers than this, before it is
 * believed: two takers in random order look like turns over a handful of numbers often enough. */
#define ROUNDS      3
#define NUMBERS_MIN 8

uint32_t turns_deal(struct turns *turns)
{
	return atomic_fetch_add_explicit(&turns->dealt, 1, memory_order_relaxed);
}

void turns_take(struct turns *turns, uint32_t number, int taker)
{
	turns->taken[number % TURNS_HISTORY] = (uint64_t)number << 32 | (uint32_t)taker;
	atomic_fetch_add(&turns->reports, 1);
}

/* 0 where nobody said yet that he took it, or never will: connections that are closed at once. */
static int taker_of(const struct turns *turns, uint32_t number)
{
	uint64_t taken = turns->taken[number % TURNS_HISTORY];

	return taken >> 32 == number ? (int)(uint32_t)taken : 0;
}

/* One past the newest number whose taker is known. */
static uint32_t known_end(const struct turns *turns)
{
	uint32_t end = turns->dealt;

	for (int i = 0; i < TURNS_HISTORY; i++, end--)
		if (taker_of(turns, end - 1))
			return end;
	return turns->dealt;
}

/* The same, but further back where many of the last are not known yet: one worker may be far ahead
 * of another in saying so. */
static uint32_t settled_end(const struct turns *turns)
{
	uint32_t end = known_end(turns);

	for (int i = 0; i < TURNS_HISTORY / 4; i++, end--) {
		unsigned known = 0;
		for (unsigned back = 1; back <= NUMBERS_MIN; back++)
			known += !!taker_of(turns, end - back);
		if (known == NUMBERS_MIN)
			break;
	}
	return end;
}

static unsigned window_of(unsigned period)
{
	return period * ROUNDS < NUMBERS_MIN ? NUMBERS_MIN : period * ROUNDS;
}

/* Whether the numbers before end came around in that period, each place seen twice at least. */
static bool learn(struct turns *turns, unsigned period, uint32_t end)
{
	uint8_t seen[TURNS_PERIOD_MAX] = {0};
	unsigned window = window_of(period), unknown = 0;

	for (uint32_t number = end - window; number != end; number++) {
		int taker = taker_of(turns, number);
		unsigned place = number % period;
		if (!taker) {
			if (++unknown > window / NUMBERS_MIN)
				return false;
			continue;
		}
		if (seen[place] && turns->taker[place] != taker)
			return false;
		turns->taker[place] = taker;
		seen[place]++;
	}
	for (unsigned place = 0; place < period; place++)
		if (seen[place] < 2)
			return false;
	return true;
}

static bool still_holds(const struct turns *turns)
{
	uint32_t end = known_end(turns);

	for (uint32_t number = end - window_of(turns->period); number != end; number++) {
		int taker = taker_of(turns, number);
		if (taker && taker != turns->taker[number % turns->period])
			return false;
	}
	return true;
}

static unsigned find_period(struct turns *turns)
{
	uint32_t end = settled_end(turns);

	for (unsigned period = 1; period <= TURNS_PERIOD_MAX; period++)
		if (learn(turns, period, end))
			return period;
	return 0;
}

int turns_next(struct turns *turns)
{
	uint32_t reports = turns->reports;

	if (reports != turns->seen_reports) {
		turns->seen_reports = reports;
		if (!turns->period || !still_holds(turns))
			turns->period = find_period(turns);
	}
	return turns->period ? turns->taker[turns->dealt % turns->period] : 0;
}
