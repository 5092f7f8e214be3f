#include "shim/decide/balance.h"

/* 400 connections a second: below, a worker is not busy by accepting. */
#define BUSY (400 * BALANCE_WINDOW_MS / 1000)
/* More than come while a worker that is not busy wakes up. */
#define LONG 4

void balance_follow(struct balance *balance, uint64_t now_ms, uint32_t local, uint32_t stolen)
{
	uint64_t passed = now_ms - balance->window_ms;

	if (passed < BALANCE_WINDOW_MS)
		return;
	uint64_t taken = local - balance->local + (stolen - balance->stolen);
	/* Nothing is known before the first window. */
	uint32_t rate = balance->window_ms ? (uint32_t)(taken * BALANCE_WINDOW_MS / passed) : 0;
	/* Who waits in a long queue came, too, though its worker is stuck and nobody else comes. */
	if (rate < BUSY && balance->found && balance_is_busy(balance))
		rate = BUSY;
	balance->rate = rate;
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

bool balance_is_long(int length, bool is_lasting, bool is_still)
{
	/* A single one, seen twice, may be another each time. */
	return length >= LONG || (length > 1 && is_lasting) || (length > 0 && is_still);
}

unsigned balance_older(struct balance_queue own, struct balance_queue other)
{
	/* Its length, if who comes last waited as long there as in our own. */
	uint64_t even =
		(uint64_t)own.length * (other.rate ? other.rate : 1) / (own.rate ? own.rate : 1);

	if (other.length < even + even / 4 + LONG)
		return 0;
	return (unsigned)((other.length - even + 1) / 2);
}

unsigned balance_allow(struct balance *balance, unsigned n, uint32_t local, uint32_t stolen)
{
	unsigned bound = balance->level < 32 ? n >> balance->level : 0;

	balance->found = true;
	if (!bound)
		return BALANCE_BATCH;
	uint32_t allowed = (local - balance->local) / bound, used = stolen - balance->stolen;
	if (used >= allowed) {
		balance->lacked = true;
		return 0;
	}
	return allowed - used < BALANCE_BATCH ? allowed - used : BALANCE_BATCH;
}
