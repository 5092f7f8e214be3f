/* The ini file, through inih.
 *
 * inih knows the grammar (sections, `key = value`, indented continuation lines, comments); this
 * reader feeds it, for what distributions' builds of it leave open:
 *  - its lines end at INI_MAX_LINE, 200 bytes, and the rest is dropped without a word. An
 *    indirection table is longer. Long lines are handed over in pieces, as continuation lines;
 *  - its handler is told neither the line's number nor of sections (INI_HANDLER_LINENO and
 *    INI_CALL_HANDLER_ON_NEW_SECTION are off). The handler runs before the next line is asked for,
 *    so the reader knows the number; and behind each header it puts a line that calls the handler;
 *  - of lines it does not understand it returns the first alone. The reader sees which of its lines
 *    never reached the handler.
 * The settings that could be changed at run time are globals that the application may share. */
#include "shim/kernel/format.h"
#include "shim/policy/load.h"
#include <ini.h>
#include <string.h>

#define BLANKS        " \t\r\v\f"
#define SECTION_MAX   49 /* bytes inih keeps of a section's name */
#define INIH_LINE_MIN 64 /* bytes of inih's buffer: a header must fit */

enum served { SERVED_NOTHING, SERVED_HEADER, SERVED_MARK, SERVED_KEY, SERVED_MORE };

struct text {
	const char *at, *end;
};

struct file_reader {
	struct policy_load *load;
	struct text rest;  /* of the file */
	struct text piece; /* of the line being served in pieces; at NULL: none */
	unsigned line;     /* being served, from 1 */
	enum served served;
	bool handled;    /* the line served reached the handler */
	unsigned blanks; /* between the value so far and the piece being served */
	unsigned gap;    /* the same for the piece after it */

	/* The section the handler is in. name "": none yet. skip: unknown, said already. */
	char section[SECTION_MAX + 1];
	struct policy_nic *nic;
	bool skip;

	/* The key whose value is being put together. */
	bool open;
	struct policy_place place;
	unsigned key_line;
	size_t value_len;
	bool too_long;
	char value[POLICY_VALUE_MAX];
};

#define say(reader, line_, level, format, ...)                                                 \
	policy_load_say((reader)->load, level, "%s:%u: " format, (reader)->load->source->file, \
			line_, ##__VA_ARGS__)
#define say_error(reader, line_, ...) say(reader, line_, LOG_LEVEL_ERROR, __VA_ARGS__)

static bool is_blank(char c)
{
	return c && strchr(BLANKS, c);
}

static struct text trim(struct text text)
{
	while (text.at < text.end && is_blank(*text.at))
		text.at++;
	while (text.end > text.at && is_blank(text.end[-1]))
		text.end--;
	return text;
}

static const char *skip_blanks(const char *p)
{
	while (is_blank(*p))
		p++;
	return p;
}

static size_t length(struct text text)
{
	return (size_t)(text.end - text.at);
}

static bool contains(struct text text, char c)
{
	return memchr(text.at, c, length(text));
}

/* inih takes both, as Python's configparser does. */
static bool separator(struct text text)
{
	return contains(text, '=') || contains(text, ':');
}

/* A comment begins at a ';' behind a blank. */
static struct text without_comment(struct text text)
{
	for (const char *p = text.at + 1; p < text.end; p++)
		if (*p == ';' && is_blank(p[-1])) {
			text.end = p;
			return trim(text);
		}
	return text;
}

static void value_append(struct file_reader *reader, const char *text)
{
	size_t len = strlen(text);

	if (reader->value_len + reader->blanks + len >= sizeof(reader->value)) {
		reader->too_long = true;
		return;
	}
	memset(reader->value + reader->value_len, ' ', reader->blanks);
	memcpy(reader->value + reader->value_len + reader->blanks, text, len);
	reader->value_len += reader->blanks + len;
}

/* The value is whole: another key, another section or the end follows. */
static void value_done(struct file_reader *reader)
{
	struct policy_place place = reader->place;
	struct policy *policy = reader->load->policy;
	struct text value =
		trim((struct text){.at = reader->value, .end = reader->value + reader->value_len});

	if (!reader->open)
		return;
	reader->open = false;
	if (!place.option)
		return;
	reader->value[value.end - reader->value] = '\0';
	const char *wrong = "the value is too long";
	if (!reader->too_long)
		wrong = place.option->kind->read(place.option, policy, value.at, place.field);
	if (!wrong) {
		if (place.origin->kind == FROM_FILE)
			say(reader, reader->key_line, LOG_LEVEL_WARN,
			    "[%s] %s is given again, line %u no longer holds (each key once)",
			    reader->section, place.option->key, place.origin->line);
		*place.origin = (struct policy_origin){FROM_FILE, reader->key_line};
		return;
	}
	say_error(reader, reader->key_line, "[%s] %s = %.80s: %s (%s)", reader->section,
		  place.option->key, value.at, wrong, place.option->allowed);
	place.option->kind->read(place.option, policy, place.option->text, place.field);
	*place.origin = (struct policy_origin){.kind = FROM_DEFAULT};
}

/* A line of a value was no good, so the value is not whole. */
static void value_drop(struct file_reader *reader)
{
	reader->open = false;
}

static void list_sections(char *out, size_t size)
{
	size_t used = 0;

	for (int id = 0; id < OPTION_COUNT; id++)
		if (!id || strcmp(policy_options[id].section, policy_options[id - 1].section) != 0)
			used += format_text(out + used, size - used, "[%s] ",
					    policy_options[id].section);
	format_text(out + used, size - used, "[nic NAME]");
}

static void list_keys(const char *section, bool nic, char *out, size_t size)
{
	const struct policy_option *option = nic ? policy_nic_options : policy_options;
	size_t used = 0;

	out[0] = '\0';
	for (int left = nic ? (int)NIC_OPTION_COUNT : (int)OPTION_COUNT; left; left--, option++)
		if (nic || strcmp(option->section, section) == 0)
			used += format_text(out + used, size - used, "%s%s", used ? " " : "",
					    option->key);
}

static bool section_known(const char *section)
{
	for (int id = 0; id < OPTION_COUNT; id++)
		if (strcmp(policy_options[id].section, section) == 0)
			return true;
	return false;
}

static void section_enter(struct file_reader *reader, const char *header)
{
	struct text name = trim((struct text){header, header + strlen(header)});
	char known[200];
	const char *wrong;

	memcpy(reader->section, name.at, length(name)); /* inih keeps no more than fits */
	reader->section[length(name)] = '\0';
	reader->nic = NULL;
	reader->skip = false;
	if (section_known(reader->section))
		return;
	if (strncmp(reader->section, "nic", 3) == 0 &&
	    (!reader->section[3] || is_blank(reader->section[3]))) {
		reader->nic = policy_nic_make(
			reader->load->policy,
			reader->section + 3 + strspn(reader->section + 3, BLANKS), false, &wrong);
		if (reader->nic)
			return;
		say_error(reader, reader->line, "[%s]: %s ([nic NAME])", reader->section, wrong);
	} else {
		list_sections(known, sizeof(known));
		say_error(reader, reader->line, "unknown section [%s] (%s)", reader->section,
			  known);
	}
	reader->skip = true;
}

static struct policy_place place_named(struct file_reader *reader, const char *key)
{
	if (reader->nic) {
		for (int id = 0; id < NIC_OPTION_COUNT; id++)
			if (strcmp(policy_nic_options[id].key, key) == 0)
				return policy_nic_place_of(reader->nic,
							   (enum policy_nic_option_id)id);
	} else {
		for (int id = 0; id < OPTION_COUNT; id++)
			if (strcmp(policy_options[id].section, reader->section) == 0 &&
			    strcmp(policy_options[id].key, key) == 0)
				return policy_place_of(reader->load->policy,
						       (enum policy_option_id)id);
	}
	return (struct policy_place){0};
}

static void key_begin(struct file_reader *reader, const char *key)
{
	char known[200];

	reader->open = true;
	reader->key_line = reader->line;
	reader->value_len = 0;
	reader->too_long = false;
	reader->place = (struct policy_place){0};
	if (reader->skip)
		return;
	if (!reader->section[0]) {
		list_sections(known, sizeof(known));
		say_error(reader, reader->line, "%.80s is outside any section (%s)", key, known);
		return;
	}
	reader->place = place_named(reader, key);
	if (!reader->place.option) {
		list_keys(reader->section, reader->nic, known, sizeof(known));
		say_error(reader, reader->line, "unknown key %.80s in [%s] (%s)", key,
			  reader->section, known);
	}
}

/* Called by inih for the line that was just served. */
static int handle(void *context, const char *section, const char *name, const char *value)
{
	struct file_reader *reader = context;

	reader->handled = true;
	if (reader->served == SERVED_MORE) {
		value_append(reader, value);
		return 1;
	}
	value_done(reader);
	if (reader->served == SERVED_MARK) {
		section_enter(reader, section);
	} else {
		key_begin(reader, name);
		value_append(reader, value);
	}
	return 1;
}

static char *serve(struct file_reader *reader, enum served served, char *line, const char *indent,
		   struct text text)
{
	size_t at = strlen(indent);

	memcpy(line, indent, at);
	memcpy(line + at, text.at, length(text));
	strcpy(line + at + length(text), "\n");
	reader->served = served;
	reader->handled = false;
	return line;
}

/* As much of reader->piece as fits. Blanks at the end of a piece would be stripped: they are
 * counted instead. The next one must not begin with what makes a comment there but not here. */
static char *serve_piece(struct file_reader *reader, enum served served, char *line, size_t size)
{
	const char *indent = served == SERVED_MORE ? " " : "";
	struct text now = reader->piece;
	size_t fits = size - strlen(indent) - sizeof("\n");
	const char *next;

	reader->blanks = reader->gap;
	if (length(now) <= fits) {
		reader->piece.at = NULL;
		return serve(reader, served, line, indent, now);
	}
	now.end = now.at + fits;
	while (next = skip_blanks(now.end), *next == ';' || *next == '#')
		if (--now.end == now.at)
			break;
	if (now.end == now.at || (served == SERVED_KEY && !separator(now))) {
		if (served == SERVED_KEY)
			value_done(reader);
		value_drop(reader);
		reader->piece.at = NULL;
		say_error(reader, reader->line,
			  "the line is too long (put the value on several lines, all but the first "
			  "indented)");
		return NULL;
	}
	now = trim(now);
	reader->piece.at = next;
	reader->gap = (unsigned)(next - now.end);
	return serve(reader, served, line, indent, now);
}

static bool header_valid(struct file_reader *reader, struct text text)
{
	const char *close = memchr(text.at, ']', length(text));

	if (close && close + 1 == text.end && length(text) - 2 <= SECTION_MAX)
		return true;
	say_error(reader, reader->line,
		  "%.*s: not a section's header ([section], nothing behind it)",
		  length(text) < 80 ? (int)length(text) : 80, text.at);
	return false;
}

/* The next line that is neither empty nor a comment. */
static bool next_line(struct file_reader *reader, struct text *text, bool *indented)
{
	while (reader->rest.at < reader->rest.end) {
		const char *end = memchr(reader->rest.at, '\n', length(reader->rest));
		struct text raw = {reader->rest.at, end ? end : reader->rest.end};

		reader->rest.at = end ? end + 1 : reader->rest.end;
		if (++reader->line == 1 && length(raw) >= 3 && !memcmp(raw.at, "\xef\xbb\xbf", 3))
			raw.at += 3; /* a byte order mark */
		*text = trim(raw);
		*indented = text->at > raw.at;
		if (text->at == text->end || *text->at == ';' || *text->at == '#')
			continue;
		if (contains(*text, '\0')) {
			if (!*indented)
				value_done(reader);
			value_drop(reader);
			say_error(reader, reader->line, "a NUL byte (a policy file is text)");
			continue;
		}
		*text = without_comment(*text);
		return true;
	}
	return false;
}

/* inih's ini_reader: the next line, as fgets() would give it. */
static char *read_line(char *line, int size, void *context)
{
	struct file_reader *reader = context;
	struct text text;
	bool indented;
	static const char mark[] = "?=";

	if (size < INIH_LINE_MIN) {
		say_error(reader, reader->line, "inih was built with lines of %d bytes", size);
		return NULL;
	}
	if (reader->served != SERVED_NOTHING && reader->served != SERVED_HEADER && !reader->handled)
		say_error(reader, reader->line, "not understood (key = value)");
	if (reader->served == SERVED_HEADER)
		return serve(reader, SERVED_MARK, line, "",
			     (struct text){mark, mark + strlen(mark)});
	while (reader->piece.at || next_line(reader, &text, &indented)) {
		enum served kind = SERVED_MORE;
		char *served;

		if (!reader->piece.at) {
			if (*text.at == '[') {
				value_done(reader);
				if (header_valid(reader, text))
					return serve(reader, SERVED_HEADER, line, "", text);
				reader->skip =
					true; /* to what section its keys belong, who knows */
				continue;
			}
			if (!reader->open || !indented || contains(text, '='))
				kind = SERVED_KEY;
			if (kind == SERVED_KEY && !separator(text)) {
				value_done(reader);
				say_error(reader, reader->line, "%.*s: no value (key = value)",
					  length(text) < 80 ? (int)length(text) : 80, text.at);
				continue;
			}
			reader->piece = text;
			reader->gap = 1;
		}
		served = serve_piece(reader, kind, line, (size_t)size);
		if (served)
			return served;
	}
	return NULL;
}

void policy_load_file(struct policy_load *load)
{
	struct file_reader reader = {
		.load = load,
		.rest = {load->source->text, load->source->text + load->source->size},
	};

	ini_parse_stream(read_line, &reader, handle, &reader);
	value_done(&reader);
}
