/* Whose turn it is: learning the order in which one thread deals connections out to others.
 *
 * What is dealt is numbered; whoever gets one says so. Where the takers of the last numbers came
 * around and around in one order, the taker of the next is known. One number that went elsewhere
 * ends that at once, until the order has shown itself again. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define TURNS_HISTORY    256 /* numbers back that are remembered, a power of two */
#define TURNS_PERIOD_MAX 64

/* Zeroed memory is one that has seen nothing. */
struct turns {
	/* Taker and number of what was taken. */
	_Atomic uint64_t taken[TURNS_HISTORY];
	_Atomic uint32_t reports; /* raised by each */
	_Atomic uint32_t dealt;

	/* The dealer's alone. */
	uint32_t seen_reports;
	unsigned period;             /* 0: no order is known */
	int taker[TURNS_PERIOD_MAX]; /* of number n at n % period */
};

/* The dealer deals one: returns its number. */
uint32_t turns_deal(struct turns *turns);
/* Any thread, at any time: taker, which is not 0, took that number. */
void turns_take(struct turns *turns, uint32_t number, int taker);
/* The dealer asks who takes what it deals next. 0: not known. */
int turns_next(struct turns *turns);
