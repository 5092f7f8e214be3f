/* One small reader for each sort of value. Numbers are decimal without sign; lists are separated by
 * blanks or commas. */
#include "shim/policy/option.h"
#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_separator(char c)
{
	return c == ' ' || c == '\t' || c == ',';
}

/* Moves *text behind the number. Values beyond highest are read as highest + 1. */
static bool read_digits(const char **text, unsigned highest, unsigned *number)
{
	const char *p = *text;

	if (!is_digit(*p))
		return false;
	for (*number = 0; is_digit(*p); p++) {
		*number = *number * 10 + (unsigned)(*p - '0');
		if (*number > highest)
			*number = highest + 1;
	}
	*text = p;
	return true;
}

/* The next number or lo-hi of a list. Returns 1, 0 at the end of the list, -1 and *wrong. */
static int next_item(const char **text, unsigned lowest, unsigned highest, unsigned *low,
		     unsigned *high, const char **wrong)
{
	while (is_separator(**text))
		(*text)++;
	if (!**text)
		return 0;
	*wrong = "not a list of numbers";
	if (!read_digits(text, highest, low))
		return -1;
	*high = *low;
	if (**text == '-') {
		(*text)++;
		if (!read_digits(text, highest, high))
			return -1;
	}
	*wrong = "a number is out of range";
	if (*low < lowest || *low > highest || *high > highest)
		return -1;
	*wrong = "a range ends before it begins";
	return *high < *low ? -1 : 1;
}

/* The place of text among the words of "one | two | three", -1 if it is none of them. */
static int word_index(const char *words, const char *text)
{
	size_t len = strlen(text);

	for (int index = 0;; index++) {
		size_t word = strcspn(words, " |");
		if (word == len && memcmp(words, text, len) == 0)
			return index;
		words = strstr(words, " | ");
		if (!words)
			return -1;
		words += 3;
	}
}

static const char *read_word(const struct policy_option *option, struct policy *policy,
			     const char *text, void *field)
{
	int index = word_index(option->allowed, text);

	(void)policy;
	if (index < 0)
		return "not one of the words";
	*(int *)field = index; /* an enum of policy.h: the same size, checked in policy.c */
	return NULL;
}

static const char *read_yes_no(const struct policy_option *option, struct policy *policy,
			       const char *text, void *field)
{
	int index = word_index(option->allowed, text);

	(void)policy;
	if (index < 0)
		return "neither yes nor no";
	*(bool *)field = index;
	return NULL;
}

static const char *read_number(const struct policy_option *option, struct policy *policy,
			       const char *text, void *field)
{
	unsigned number;

	(void)policy;
	if (!read_digits(&text, option->highest, &number) || *text)
		return "not a number";
	if (number < option->lowest || number > option->highest)
		return "out of range";
	*(unsigned *)field = number;
	return NULL;
}

static const char *read_number_or_off(const struct policy_option *option, struct policy *policy,
				      const char *text, void *field)
{
	if (strcmp(text, "off") != 0)
		return read_number(option, policy, text, field);
	*(unsigned *)field = 0;
	return NULL;
}

static const char *read_path(const struct policy_option *option, struct policy *policy,
			     const char *text, void *field)
{
	struct policy_path *path = field;

	(void)option, (void)policy;
	if (*text && *text != '/')
		return "not an absolute path";
	if (strlen(text) >= sizeof(path->text))
		return "the path is too long";
	strcpy(path->text, text);
	return NULL;
}

static const char *read_range(const struct policy_option *option, struct policy *policy,
			      const char *text, void *field)
{
	unsigned low = 0, high = 0;

	(void)policy;
	if (*text) {
		if (!read_digits(&text, option->highest, &low) || *text++ != '-' ||
		    !read_digits(&text, option->highest, &high) || *text)
			return "not a range";
		if (low < option->lowest || low > option->highest || high > option->highest)
			return "a port is out of range";
		if (high < low)
			return "the range ends before it begins";
	}
	*(struct policy_range *)field = (struct policy_range){(uint16_t)low, (uint16_t)high};
	return NULL;
}

/* Keeps the ranges ascending and apart: those that touch the new one are swallowed by it. */
static bool ports_add(struct policy_ports *ports, unsigned low, unsigned high)
{
	unsigned first = 0, behind;

	while (first < ports->count && ports->range[first].high + 1u < low)
		first++;
	for (behind = first; behind < ports->count && ports->range[behind].low <= high + 1;
	     behind++) {
		if (ports->range[behind].low < low)
			low = ports->range[behind].low;
		if (ports->range[behind].high > high)
			high = ports->range[behind].high;
	}
	if (behind == first && ports->count == POLICY_PORTS_MAX)
		return false;
	memmove(&ports->range[first + 1], &ports->range[behind],
		(ports->count - behind) * sizeof(ports->range[0]));
	ports->range[first] = (struct policy_range){(uint16_t)low, (uint16_t)high};
	ports->count = (uint16_t)(ports->count + 1 - (behind - first));
	return true;
}

static const char *read_ports(const struct policy_option *option, struct policy *policy,
			      const char *text, void *field)
{
	struct policy_ports ports = {0};
	unsigned low, high;
	const char *wrong;
	int more;

	(void)policy;
	while ((more = next_item(&text, option->lowest, option->highest, &low, &high, &wrong)) > 0)
		if (!ports_add(&ports, low, high))
			return "more than 64 separate ranges";
	if (more < 0)
		return wrong;
	*(struct policy_ports *)field = ports;
	return NULL;
}

static const char *read_cpus(const struct policy_option *option, struct policy *policy,
			     const char *text, void *field)
{
	struct policy_cpus cpus = {.kind = CPUS_LIST};
	unsigned low, high;
	const char *wrong;
	int more;

	(void)policy;
	if (word_index(option->allowed, text) >= 0) {
		cpus.kind = strcmp(text, "auto") == 0 ? CPUS_AUTO : CPUS_OFF;
		*(struct policy_cpus *)field = cpus;
		return NULL;
	}
	while ((more = next_item(&text, 0, POLICY_CPU_MAX - 1, &low, &high, &wrong)) > 0)
		for (; low <= high; low++)
			CPU_SET(low, &cpus.set);
	if (more < 0)
		return wrong;
	if (CPU_COUNT(&cpus.set) == 0)
		return "no CPU";
	*(struct policy_cpus *)field = cpus;
	return NULL;
}

static int hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static const char *read_key(const struct policy_option *option, struct policy *policy,
			    const char *text, void *field)
{
	struct policy_key key = {0};

	(void)option, (void)policy;
	if (strcmp(text, "auto") != 0) {
		while (*text) {
			int high = hex_digit(text[0]), low = high < 0 ? -1 : hex_digit(text[1]);
			if (low < 0)
				return "not pairs of hexadecimal digits";
			if (key.len == POLICY_KEY_MAX)
				return "too many bytes";
			key.byte[key.len++] = (uint8_t)(high << 4 | low);
			text += 2;
			if (*text == ':' && text[1])
				text++;
			while (is_separator(*text))
				text++;
		}
		if (key.len < POLICY_KEY_MIN)
			return "too few bytes";
	}
	*(struct policy_key *)field = key;
	return NULL;
}

/* A list goes to the end of the pool. What a key held before stays there, unused: a list is rarely
 * given twice, and the pool's size is checked. */
static const char *pool_list(struct policy *policy, const char *text, unsigned highest,
			     unsigned most, struct policy_list *list)
{
	unsigned low, high, used = policy->pool_used;
	const char *wrong;
	int more;

	while ((more = next_item(&text, 0, highest, &low, &high, &wrong)) > 0) {
		for (; low <= high; low++) {
			if (used - policy->pool_used == most)
				return "too many entries";
			if (used == POLICY_POOL_MAX)
				return "more than 16384 entries in all lists together";
			policy->pool[used++] = (uint16_t)low;
		}
	}
	if (more < 0)
		return wrong;
	if (used == policy->pool_used)
		return "an empty list";
	list->at = (uint16_t)policy->pool_used;
	list->count = (uint16_t)(used - policy->pool_used);
	policy->pool_used = used;
	return NULL;
}

static const char *read_list(const struct policy_option *option, struct policy *policy,
			     const char *text, void *field)
{
	struct policy_list list = {0};
	const char *wrong = NULL;

	(void)option;
	if (strcmp(text, "auto") != 0)
		wrong = pool_list(policy, text, POLICY_CPU_MAX - 1, POLICY_QUEUE_MAX, &list);
	if (!wrong)
		*(struct policy_list *)field = list;
	return wrong;
}

static const char *read_table(const struct policy_option *option, struct policy *policy,
			      const char *text, void *field)
{
	struct policy_table table = {0};
	const char *wrong = NULL;
	unsigned queues;

	(void)option;
	if (strncmp(text, "equal", 5) == 0) {
		for (text += 5; is_separator(*text);)
			text++;
		if (!read_digits(&text, POLICY_QUEUE_MAX, &queues) || *text)
			return "equal wants a number of queues";
		if (queues < 1 || queues > POLICY_QUEUE_MAX)
			return "equal wants 1 to 1024 queues";
		table.equal = (uint16_t)queues;
	} else if (strcmp(text, "auto") != 0) {
		wrong = pool_list(policy, text, POLICY_QUEUE_MAX - 1, POLICY_TABLE_MAX,
				  &table.entry);
	}
	if (!wrong)
		*(struct policy_table *)field = table;
	return wrong;
}

const struct policy_kind policy_kind_word = {read_word};
const struct policy_kind policy_kind_yes_no = {read_yes_no};
const struct policy_kind policy_kind_number = {read_number};
const struct policy_kind policy_kind_number_or_off = {read_number_or_off};
const struct policy_kind policy_kind_path = {read_path};
const struct policy_kind policy_kind_range = {read_range};
const struct policy_kind policy_kind_ports = {read_ports};
const struct policy_kind policy_kind_cpus = {read_cpus};
const struct policy_kind policy_kind_key = {read_key};
const struct policy_kind policy_kind_table = {read_table};
const struct policy_kind policy_kind_list = {read_list};
