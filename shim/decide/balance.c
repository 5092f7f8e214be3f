#include "shim/decide/balance.h"

/* 400 connections a second: below, a worker is not busy by accepting. */
#define BUSY (400 * BALANCE_WINDOW_MS / 1000)
/* More than come while a worker that is not busy wakes up. */
#define LONG 4
/* Who has waited for so long is not about to be taken by one that wakes up. */
#define LASTING_MS 5
/* Less is not to be told apart, by notes a millisecond apart. */
#define OLDER_MS 2

void balance_follow(struct balance *balance, uint64_t now_ms, uint32_t came, uint32_t local,
		    uint32_t stolen)
{
	uint64_t passed = now_ms - balance->window_ms;

	if (passed < BALANCE_WINDOW_MS)
		return;
	/* Nothing is known before the first window. */
	int32_t more = balance->window_ms ? (int32_t)(came - balance->came) : 0;
	uint32_t rate = more > 0 ? (uint32_t)((uint64_t)more * BALANCE_WINDOW_MS / passed) : 0;
	/* Who waits in a long queue came, too, though its worker is stuck and nobody else comes. */
	if (rate < BUSY && balance->found && balance_is_busy(balance))
		rate = BUSY;
	balance->rate = rate;
	balance->came = came;
	if (balance->lacked)
		balance->level++;
	else if (!balance->found && balance->level)
		balance->level--;
	balance->found = balance->lacked = false;
	balance->window_ms = now_ms;
	balance->local = local;
	balance->stolen = stolen;
}

bool balance_is_busy(const struct balance *balance)
{
	return balance->rate >= BUSY;
}

bool balance_is_long(uint32_t length, uint32_t age_ms, bool is_still)
{
	uint32_t few = is_still ? 0 : 1;

	return length >= LONG || (length > few && age_ms >= LASTING_MS);
}

uint32_t balance_older_ms(uint32_t own_ms)
{
	return own_ms + own_ms / 16 + OLDER_MS;
}

unsigned balance_allow(struct balance *balance, unsigned n, bool is_still, uint32_t local,
		       uint32_t stolen)
{
	unsigned bound = balance->level < 32 ? n >> balance->level : 0;

	balance->found = true;
	if (!bound || is_still)
		return BALANCE_BATCH;
	uint32_t allowed = (local - balance->local) / bound, used = stolen - balance->stolen;
	if (used >= allowed) {
		balance->lacked = true;
		return 0;
	}
	return allowed - used < BALANCE_BATCH ? allowed - used : BALANCE_BATCH;
}
