#include "shim/policy/show.h"
#include "shim/kernel/format.h"
#include "shim/policy/load.h"
#include <string.h>

/* Text that grows to the end of a buffer. */
struct text_out {
	char *out;
	size_t used, size;
	bool cut;
};

static void put(struct text_out *text, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void put(struct text_out *text, const char *format, ...)
{
	char piece[POLICY_PATH_MAX];
	va_list args;

	va_start(args, format);
	size_t len = format_text_v(piece, sizeof(piece), format, args);
	va_end(args);
	if (text->cut || text->used + len >= text->size) {
		text->cut = true;
		return;
	}
	memcpy(text->out + text->used, piece, len + 1);
	text->used += len;
}

static const char *between(const struct text_out *text, const char *separator)
{
	return text->used ? separator : "";
}

static void show_nth_word(struct text_out *text, const char *words, unsigned index)
{
	while (index--)
		words = strstr(words, " | ") + 3;
	put(text, "%.*s", (int)strcspn(words, " "), words);
}

static void show_word(const struct policy_entry *entry, struct text_out *text)
{
	show_nth_word(text, entry->option->allowed, *(const unsigned *)entry->field);
}

static void show_yes_no(const struct policy_entry *entry, struct text_out *text)
{
	show_nth_word(text, entry->option->allowed, *(const bool *)entry->field);
}

static void show_number(const struct policy_entry *entry, struct text_out *text)
{
	put(text, "%u", *(const unsigned *)entry->field);
}

static void show_number_or_off(const struct policy_entry *entry, struct text_out *text)
{
	if (*(const unsigned *)entry->field)
		show_number(entry, text);
	else
		put(text, "off");
}

static void show_path(const struct policy_entry *entry, struct text_out *text)
{
	put(text, "%s", ((const struct policy_path *)entry->field)->text);
}

static void show_span(struct text_out *text, const char *separator, unsigned low, unsigned high)
{
	put(text, "%s%u", between(text, separator), low);
	if (high > low)
		put(text, "-%u", high);
}

static void show_range(const struct policy_entry *entry, struct text_out *text)
{
	const struct policy_range *range = entry->field;

	if (range->high)
		put(text, "%u-%u", range->low, range->high);
}

static void show_ports(const struct policy_entry *entry, struct text_out *text)
{
	const struct policy_ports *ports = entry->field;

	for (unsigned i = 0; i < ports->count; i++)
		show_span(text, " ", ports->range[i].low, ports->range[i].high);
}

static void show_cpus(const struct policy_entry *entry, struct text_out *text)
{
	const struct policy_cpus *cpus = entry->field;

	if (cpus->kind != CPUS_LIST)
		put(text, "%s", cpus->kind == CPUS_AUTO ? "auto" : "off");
	for (unsigned low = 0; cpus->kind == CPUS_LIST && low < POLICY_CPU_MAX; low++) {
		unsigned high = low;
		if (!CPU_ISSET(low, &cpus->set))
			continue;
		while (high + 1 < POLICY_CPU_MAX && CPU_ISSET(high + 1, &cpus->set))
			high++;
		show_span(text, ",", low, high);
		low = high;
	}
}

static void show_key(const struct policy_entry *entry, struct text_out *text)
{
	const struct policy_key *key = entry->field;

	if (!key->len)
		put(text, "auto");
	for (unsigned i = 0; i < key->len; i++)
		put(text, "%s%02x", between(text, ":"), key->byte[i]);
}

static void show_values(const struct policy_entry *entry, const struct policy_list *list,
			struct text_out *text)
{
	const uint16_t *value = policy_values(entry->policy, list);

	if (!list->count)
		put(text, "auto");
	for (unsigned i = 0; i < list->count; i++)
		put(text, "%s%u", between(text, " "), value[i]);
}

static void show_list(const struct policy_entry *entry, struct text_out *text)
{
	show_values(entry, entry->field, text);
}

static void show_table(const struct policy_entry *entry, struct text_out *text)
{
	const struct policy_table *table = entry->field;

	if (table->equal)
		put(text, "equal %u", table->equal);
	else
		show_values(entry, &table->entry, text);
}

static const struct {
	const struct policy_kind *kind;
	void (*show)(const struct policy_entry *entry, struct text_out *text);
} shows[] = {
	{&policy_kind_word, show_word},     {&policy_kind_yes_no, show_yes_no},
	{&policy_kind_number, show_number}, {&policy_kind_number_or_off, show_number_or_off},
	{&policy_kind_path, show_path},     {&policy_kind_range, show_range},
	{&policy_kind_ports, show_ports},   {&policy_kind_cpus, show_cpus},
	{&policy_kind_key, show_key},       {&policy_kind_table, show_table},
	{&policy_kind_list, show_list},
};

void policy_show_value(const struct policy_entry *entry, char *out, size_t size)
{
	struct text_out text = {.out = out, .size = size - 3}; /* room for the dots */

	out[0] = '\0';
	for (size_t i = 0; i < sizeof(shows) / sizeof(shows[0]); i++)
		if (shows[i].kind == entry->option->kind)
			shows[i].show(entry, &text);
	if (text.cut)
		memcpy(out + text.used, "...", 4);
}

void policy_show_name(const struct policy_entry *entry, char *out, size_t size)
{
	if (entry->nic)
		format_text(out, size, "nic %s.%s", entry->nic->name, entry->option->key);
	else
		format_text(out, size, "%s.%s", entry->option->section, entry->option->key);
}

static void show_variable(const struct policy_entry *entry, char *out, size_t size)
{
	if (entry->nic)
		format_text(out, size, "RSSSHIM_NIC_%s_%s", entry->nic->name, entry->option->key);
	else if (entry->policy->disabled && entry->option == &policy_options[OPTION_shim_enabled])
		format_text(out, size, "RSSSHIM_DISABLE");
	else
		format_text(out, size, "RSSSHIM_%s_%s", entry->option->section, entry->option->key);
	for (; *out; out++)
		*out = policy_fold(*out);
}

void policy_show_origin(const struct policy_entry *entry, char *out, size_t size)
{
	switch (entry->origin.kind) {
	case FROM_FILE:
		format_text(out, size, "%s:%u", entry->policy->file.text, entry->origin.line);
		break;
	case FROM_ENVIRONMENT:
		show_variable(entry, out, size);
		break;
	case FROM_DEFAULT:
		format_text(out, size, "default");
	}
}

void policy_visit(const struct policy *policy,
		  void (*visit)(const struct policy_entry *entry, void *context), void *context)
{
	struct policy_entry entry = {.policy = policy};

	for (int id = 0; id < OPTION_COUNT; id++) {
		entry.option = &policy_options[id];
		entry.field = (const char *)policy + entry.option->offset;
		entry.origin = policy->origin[id];
		visit(&entry, context);
	}
	for (unsigned i = 0; i < policy->nic_count; i++) {
		entry.nic = &policy->nic[i];
		for (int id = 0; id < NIC_OPTION_COUNT; id++) {
			entry.option = &policy_nic_options[id];
			entry.field = (const char *)entry.nic + entry.option->offset;
			entry.origin = entry.nic->origin[id];
			visit(&entry, context);
		}
	}
}
