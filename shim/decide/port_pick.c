#include "shim/decide/port_pick.h"
#include "shim/decide/keyed_hash.h"
#include <string.h>

#define RETRY_INTERVAL_MAX 64
/* A walk that skipped this many positions without a port deserves a map to remember them. */
#define EMPTY_MAX 1024
/* Ports of the less lucky kind that are stepped over for one of the other. */
#define SHUNNED_MAX 8
#define LUCK_MAX    255
/* Ports found taken by one connect, after which its walk goes on elsewhere: the process before this
 * one may have walked here in the same order, and left a run of them in TIME_WAIT. */
#define MISSES_MAX 8
#define OFFERED    2 /* kind of the ports offered again, beside even and odd */

#define get(object)        atomic_load_explicit(&(object), memory_order_relaxed)
#define put(object, value) atomic_store_explicit(&(object), value, memory_order_relaxed)

void port_pick_init(struct port_pick *pick, const uint8_t secret[16])
{
	memcpy(pick->secret, secret, sizeof(pick->secret));
	put(pick->fresh, 0);
	put(pick->mapped, false);
	for (unsigned i = 0; i < PORT_PICK_CURSORS; i++)
		put(pick->cursor[i], 0);
	for (unsigned i = 0; i < PORT_PICK_MAPS; i++)
		put(pick->map_tag[i], 0);
}

/* Product of 64 by 64 bits, folded: mixes two words in a few cycles. */
static uint64_t fold(uint64_t a, uint64_t b)
{
	__extension__ typedef unsigned __int128 product;
	product p = (product)a * b;

	return (uint64_t)p ^ (uint64_t)(p >> 64);
}

/* What a walk belongs to. It says where to look, and which of the orders to take; where a walk
 * begins comes from the stronger hash in cursor_of(). */
static uint64_t key_of(const struct port_pick *pick, const struct port_set *set,
		       const struct flow *flow)
{
	uint64_t near = set->identity ^ (uint64_t)flow->remote_port << 48;
	uint64_t remote[2] = {0}, key;

	memcpy(remote, flow->remote, set->family == FLOW_IPV6 ? 16 : 4);
	key = fold(near ^ pick->secret[0], remote[0] ^ pick->secret[1]);
	if (set->family == FLOW_IPV6)
		key ^= fold(remote[1] ^ pick->secret[0], near ^ pick->secret[1]);
	return fold(key ^ pick->secret[0], pick->secret[1]);
}

static uint32_t tag_of(uint64_t key)
{
	return (uint32_t)(key >> 32) | 1;
}

/* value % set->positions without a division, for values of 32 bits. */
static uint32_t remainder_of(const struct port_set *set, uint32_t value)
{
	__extension__ typedef unsigned __int128 product;

	return (uint32_t)((product)(set->reciprocal * value) * set->positions >> 64);
}

/* Steps of the walk to positions of the set, in one of 16 orders. A prime larger than any set has
 * no factor in common with its size, so the walk meets every position before any again. */
static uint32_t position_of(const struct port_set *set, uint64_t key, uint32_t step)
{
	static const uint32_t stride[16] = {1606543927, 1607738201, 593195929,  3677281057,
					    4262579357, 1222365791, 3188809291, 629514269,
					    2481727697, 2522027831, 1000954453, 3069885307,
					    4229229911, 3717545411, 677407481,  1263965533};

	return remainder_of(set, remainder_of(set, stride[key >> 60]) * step);
}

static struct port_pick_map *map_find(struct port_pick *pick, uint64_t key)
{
	unsigned first = (unsigned)(key >> 16) % PORT_PICK_MAPS / PORT_PICK_WAYS * PORT_PICK_WAYS;

	if (!get(pick->mapped))
		return NULL;
	for (unsigned i = first; i < first + PORT_PICK_WAYS; i++) {
		if (get(pick->map_tag[i]) == tag_of(key))
			return &pick->map[i];
	}
	return NULL;
}

static struct port_pick_map *map_claim(struct port_pick *pick, uint64_t key)
{
	unsigned first = (unsigned)(key >> 16) % PORT_PICK_MAPS / PORT_PICK_WAYS * PORT_PICK_WAYS;
	unsigned victim = first + (unsigned)get(pick->fresh) % PORT_PICK_WAYS;
	struct port_pick_map *map;

	for (unsigned i = first; i < first + PORT_PICK_WAYS; i++) {
		if (get(pick->map_tag[i]) == 0)
			victim = i;
	}
	map = &pick->map[victim];
	put(pick->map_tag[victim], 0);
	put(map->retry_at, 0);
	put(map->picks, 0);
	put(map->interval, RETRY_INTERVAL_MAX / 8);
	put(map->refused, false);
	put(map->luck[0], LUCK_MAX);
	put(map->luck[1], LUCK_MAX);
	put(map->luck[OFFERED], LUCK_MAX / 2);
	for (unsigned i = 0; i < 1024; i++) {
		if (get(map->taken[i])) /* leave pages untouched that were never used */
			put(map->taken[i], 0);
		if (get(map->empty[i]))
			put(map->empty[i], 0);
	}
	atomic_fetch_add_explicit(&pick->fresh, 1, memory_order_relaxed);
	put(pick->mapped, true);
	atomic_store_explicit(&pick->map_tag[victim], tag_of(key), memory_order_release);
	return map;
}

static void bit_set(_Atomic uint64_t *bits, uint32_t bit)
{
	atomic_fetch_or_explicit(&bits[bit / 64], 1ull << bit % 64, memory_order_relaxed);
}

/* The first step from `step` on, below `end`, whose bit is set; `end` if there is none. */
static uint32_t taken_from(struct port_pick_map *map, uint32_t step, uint32_t end)
{
	while (step < end) {
		uint64_t word = get(map->taken[step / 64]) >> step % 64;

		if (word) {
			step += (uint32_t)__builtin_ctzll(word);
			return step < end ? step : end;
		}
		step = (step / 64 + 1) * 64;
	}
	return end;
}

/* The same for the first step that is neither taken nor empty. */
static uint32_t open_from(struct port_pick_map *map, uint32_t step, uint32_t end)
{
	while (step < end) {
		uint64_t word = get(map->taken[step / 64]) | get(map->empty[step / 64]);

		word = ~word >> step % 64;
		if (word) {
			step += (uint32_t)__builtin_ctzll(word);
			return step < end ? step : end;
		}
		step = (step / 64 + 1) * 64;
	}
	return end;
}

/* A port that was taken, offered again: the one found taken longest ago. */
static bool offer_again(struct port_pick_map *map, const struct port_set *set,
			struct port_choice *choice)
{
	uint32_t end = set->positions;
	uint32_t at = get(map->retry_at);

	at = taken_from(map, at < end ? at : 0, end);
	if (at == end && (at = taken_from(map, 0, end)) == end)
		return false;
	put(map->retry_at, at + 1);
	put(map->picks, 0);
	put(map->refused, false);
	atomic_fetch_and_explicit(&map->taken[at / 64], ~(1ull << at % 64), memory_order_relaxed);
	choice->again = true;
	choice->offers++;
	choice->step = at;
	choice->port = port_set_at(set, position_of(set, choice->key, at));
	return choice->port != 0;
}

/* How many such offers are worth their while in one connect once all ports are known as taken: many
 * while at least one in 16 is free, a single one where hardly any is. */
static unsigned offers_allowed(struct port_pick_map *map)
{
	return 1 + (get(map->luck[OFFERED]) > LUCK_MAX / 16 ? LUCK_MAX : 0);
}

/* Whether it is time for such an offer. The interval halves while they have come free, and doubles
 * while they have not: an offer that succeeds costs nothing, one that fails costs a system call. */
static bool offer_due(struct port_pick_map *map)
{
	uint8_t interval = get(map->interval);
	uint8_t picks = get(map->picks);

	if (picks + 1 < interval) {
		put(map->picks, picks + 1);
		return false;
	}
	if (!get(map->refused) && interval > 1)
		put(map->interval, interval / 2);
	return true;
}

/* Whether a port of the other kind is far more likely to be free. What is not tried any more slowly
 * comes back into favour, so that it is noticed when such ports come free. */
static bool shuns(struct port_pick_map *map, const struct port_choice *choice)
{
	unsigned kind = choice->port & 1;
	uint8_t luck = get(map->luck[kind]);

	if (get(map->luck[!kind]) <= 2 * luck + LUCK_MAX / 32)
		return false;
	if (choice->step % 16 == 0 && luck < LUCK_MAX)
		put(map->luck[kind], luck + 1);
	return true;
}

/* The first step from `step` on, once around, that holds a port not known to be taken. */
static bool walk(struct port_pick *pick, struct port_pick_map *map, const struct port_set *set,
		 uint32_t step, struct port_choice *choice)
{
	uint32_t end = set->positions, shunned = 0, first = 0;
	unsigned empty = 0;

	for (uint32_t left = end; left;) {
		uint32_t open = map ? open_from(map, step, end) : step;

		if (open - step >= left)
			break;
		left -= open - step;
		step = open;
		if (step == end) {
			step = 0;
			continue;
		}
		choice->port = port_set_at(set, position_of(set, choice->key, step));
		choice->step = step;
		if (choice->port) {
			if (!map || shunned == SHUNNED_MAX || !shuns(map, choice))
				return true;
			if (!shunned++)
				first = step;
		} else if (map) {
			bit_set(map->empty, step);
		} else if (++empty == EMPTY_MAX) {
			map = map_claim(pick, choice->key);
		}
		left--;
		if (++step == end)
			step = 0;
	}
	if (!shunned)
		return false;
	/* None of the other kind is left. */
	choice->step = first;
	choice->port = port_set_at(set, position_of(set, choice->key, first));
	return true;
}

static uint64_t random_of(struct port_pick *pick, uint64_t key)
{
	uint64_t words[2] = {atomic_fetch_add_explicit(&pick->fresh, 1, memory_order_relaxed), key};

	return keyed_hash(pick->secret, words, 2);
}

/* The place of this destination among the cursors; begins a walk at a new place if it has none. */
static _Atomic uint64_t *cursor_of(struct port_pick *pick, const struct port_set *set, uint64_t key)
{
	_Atomic uint64_t *way =
		pick->cursor + key % (PORT_PICK_CURSORS / PORT_PICK_WAYS) * PORT_PICK_WAYS;
	_Atomic uint64_t *victim = NULL;
	uint64_t was = 0;

	for (unsigned i = 0; i < PORT_PICK_WAYS; i++) {
		uint64_t value = get(way[i]);

		if (value >> 32 == tag_of(key))
			return &way[i];
		if (value == 0)
			victim = &way[i];
	}
	uint64_t random = random_of(pick, key);

	if (!victim) {
		victim = &way[random >> 32 & (PORT_PICK_WAYS - 1)];
		was = get(*victim);
	}
	/* Where another thread was faster its walk holds: it is the same destination's as a rule.
	 */
	atomic_compare_exchange_strong_explicit(
		victim, &was, (uint64_t)tag_of(key) << 32 | (uint32_t)random % set->positions,
		memory_order_relaxed, memory_order_relaxed);
	return victim;
}

static bool next(struct port_pick *pick, const struct port_set *set, const struct flow *flow,
		 struct port_choice *choice)
{
	uint32_t end = set->positions;

	if (end == 0)
		return false;
	choice->again = false;
	choice->key = key_of(pick, set, flow);

	struct port_pick_map *map = map_find(pick, choice->key);

	if (map && offer_due(map) && offer_again(map, set, choice))
		return true;

	_Atomic uint64_t *cursor = cursor_of(pick, set, choice->key);

	/* When another thread moves the cursor first, start from where it went: two threads must
	 * not be given one port. With more of them than this it is no more than a try lost. */
	for (unsigned race = 0; race < 64; race++) {
		uint64_t was = get(*cursor);
		uint32_t step = (uint32_t)was < end ? (uint32_t)was : 0;

		if (choice->misses >= MISSES_MAX)
			step = (uint32_t)random_of(pick, choice->key) % end;

		/* All are taken as far as is known. At least one of them is offered to each
		 * connect, which costs a fraction of the kernel's own search and notices when ports
		 * come free. */
		if (!walk(pick, map, set, step, choice))
			return map && choice->offers < offers_allowed(map) &&
			       offer_again(map, set, choice);
		uint32_t after = choice->step + 1 < end ? choice->step + 1 : 0;

		if (atomic_compare_exchange_strong_explicit(
			    cursor, &was, (uint64_t)tag_of(choice->key) << 32 | after,
			    memory_order_relaxed, memory_order_relaxed))
			break;
	}
	return true;
}

bool port_pick_next(struct port_pick *pick, const struct port_set *set, const struct flow *flow,
		    struct port_choice *choice)
{
	bool found = next(pick, set, flow, choice);

	if (!found)
		choice->port = 0;
	return found;
}

static void luck_note(struct port_pick_map *map, const struct port_choice *choice, bool was_free)
{
	_Atomic uint8_t *luck = &map->luck[choice->again ? OFFERED : choice->port & 1];
	uint8_t was = get(*luck);

	put(*luck, was_free ? was + (LUCK_MAX - was + 15) / 16 : was - (was + 15) / 16);
}

void port_pick_taken(struct port_pick *pick, struct port_choice *choice)
{
	struct port_pick_map *map = map_find(pick, choice->key);

	if (!map)
		map = map_claim(pick, choice->key);
	bit_set(map->taken, choice->step);
	luck_note(map, choice, false);
	if (!choice->again && choice->misses < MISSES_MAX)
		choice->misses++;
	if (choice->again) {
		uint8_t interval = get(map->interval);

		put(map->refused, true);
		put(map->interval,
		    interval < RETRY_INTERVAL_MAX / 2 ? interval * 2 : RETRY_INTERVAL_MAX);
	}
}

void port_pick_barred(struct port_pick *pick, const struct port_choice *choice)
{
	struct port_pick_map *map = map_find(pick, choice->key);

	if (map)
		bit_set(map->empty, choice->step);
}

void port_pick_note_got(struct port_pick *pick, const struct port_choice *choice)
{
	struct port_pick_map *map = map_find(pick, choice->key);

	if (map)
		luck_note(map, choice, true);
}
