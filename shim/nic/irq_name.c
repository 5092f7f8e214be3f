#include "shim/nic/irq_name.h"
#include <ctype.h>
#include <string.h>

#define NAME_MAX_LEN 128

static bool is_separator(char c)
{
	return c == '-' || c == '_' || c == '.' || c == ':' || c == ' ' || c == '#' || c == '(';
}

/* Whether `token` stands in `name` with no letter or digit on either side. */
static bool holds_token(const char *name, const char *token)
{
	size_t len = strlen(token);

	if (!len)
		return false;
	for (const char *at = strstr(name, token); at; at = strstr(at + 1, token))
		if ((at == name || !isalnum((unsigned char)at[-1])) &&
		    !isalnum((unsigned char)at[len]))
			return true;
	return false;
}

/* Cuts a decimal number off the end of `name`; false when there is none or it is not a queue's. */
static bool cut_number(char *name, unsigned *number)
{
	size_t len = strlen(name);
	size_t start = len;

	while (start && isdigit((unsigned char)name[start - 1]))
		start--;
	if (start == len || len - start > 5)
		return false;
	*number = 0;
	for (size_t at = start; at < len; at++)
		*number = *number * 10 + (unsigned)(name[at] - '0');
	name[start] = '\0';
	return true;
}

static void cut_separators(char *name)
{
	size_t len = strlen(name);

	while (len && is_separator(name[len - 1]))
		name[--len] = '\0';
}

/* Whether `name` ends in `word`, in any case, and nothing but a separator is before it: "Rx" and
 * "eth0-Rx" end in "rx", "TxRx" does not. */
static bool ends_in(const char *name, const char *word)
{
	size_t name_len = strlen(name);
	size_t len = strlen(word);

	return name_len >= len && !strcasecmp(name + name_len - len, word) &&
	       (name_len == len || is_separator(name[name_len - len - 1]));
}

static const struct {
	const char *word;
	enum irq_role role;
} role_words[] = {
	/* Longer ones before those they end in. */
	{"tx-rx", IRQ_BOTH},
	{"rx-tx", IRQ_BOTH},
	{"txrx", IRQ_BOTH},
	{"rxtx", IRQ_BOTH},
	{"rx", IRQ_RX},
	{"tx", IRQ_TX},
	{"input", IRQ_RX},
	{"output", IRQ_TX},
	{"rxq", IRQ_RX},
	{"txq", IRQ_TX},
	{"fp", IRQ_BOTH},
	{"q", IRQ_BOTH},
	{"qp", IRQ_BOTH},
	{"comp", IRQ_BOTH},
	{"mlx4", IRQ_BOTH},
	{"ntfy-blk", IRQ_HALVES},
	{"ntfy-block", IRQ_HALVES},
};

static enum irq_role role_of_word(const char *stem)
{
	for (size_t i = 0; i < sizeof(role_words) / sizeof(role_words[0]); i++)
		if (ends_in(stem, role_words[i].word))
			return role_words[i].role;
	return IRQ_OTHER;
}

enum irq_role irq_name_role(const char *name, const struct irq_owner *owner, unsigned *index)
{
	bool ours = owner->all_of_device || holds_token(name, owner->dev) ||
		    holds_token(name, owner->bus);
	char stem[NAME_MAX_LEN];
	enum irq_role role;
	char *bus;

	*index = 0;
	if (!ours || strlen(name) >= sizeof(stem) || !name[0])
		return IRQ_OTHER;
	/* virtio0-virtqueues: one vector for all queues, where the host gives too few. */
	if (!strcmp(name, owner->dev) || ends_in(name, "virtqueues"))
		return IRQ_WHOLE;
	strcpy(stem, name);
	bus = strchr(stem, '@'); /* mlx5_comp0@pci:0000:17:00.0 */
	if (bus)
		*bus = '\0';
	/* i40e's Flow Director interrupt is called i40e-0000:17:00.0:fdir-TxRx-0. */
	if (strstr(stem, "fdir"))
		return IRQ_OTHER;
	if (!cut_number(stem, index)) {
		/* xen-netfront: eth0-q3-rx */
		role = role_of_word(stem);
		if (role != IRQ_RX && role != IRQ_TX)
			return IRQ_OTHER;
		stem[strlen(stem) - 2] = '\0';
		cut_separators(stem);
		return cut_number(stem, index) && ends_in(stem, "q") ? role : IRQ_OTHER;
	}
	cut_separators(stem);
	role = role_of_word(stem);
	/* eth0-3 of mlx4 and sfc; no separator would be the device eth03. */
	if (role == IRQ_OTHER && !strcmp(stem, owner->dev) && is_separator(name[strlen(stem)]))
		return IRQ_BOTH;
	return role;
}

static void line_end(struct irq_lines *lines)
{
	char tail[IRQ_LINE_TAIL + 1];
	size_t kept = lines->len < IRQ_LINE_TAIL ? lines->len : IRQ_LINE_TAIL;
	size_t head_len = lines->len < IRQ_LINE_HEAD ? lines->len : IRQ_LINE_HEAD;
	unsigned irq = 0;
	size_t digits = 0;
	size_t at = 0;
	char *names = NULL;

	for (size_t i = 0; i < kept; i++)
		tail[i] = lines->tail[(lines->len - kept + i) % IRQ_LINE_TAIL];
	tail[kept] = '\0';
	lines->len = 0;

	while (at < head_len && lines->head[at] == ' ')
		at++;
	for (; at < head_len && isdigit((unsigned char)lines->head[at]) && digits < 9; digits++)
		irq = irq * 10 + (unsigned)(lines->head[at++] - '0');
	if (!digits || at >= head_len || lines->head[at] != ':')
		return; /* the header, or NMI:, LOC: and the like */
	/* Two spaces stand before the first action; a name holds at most single ones. */
	for (char *space = strstr(tail, "  "); space; space = strstr(space + 1, "  "))
		names = space + 2;
	if (!names)
		return;
	while (names) {
		char *comma = strstr(names, ", ");

		if (comma)
			*comma = '\0';
		lines->found(lines->context, irq, names);
		names = comma ? comma + 2 : NULL;
	}
}

void irq_lines_feed(void *context, const char *text, size_t len)
{
	struct irq_lines *lines = context;

	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\n') {
			line_end(lines);
			continue;
		}
		if (lines->len < IRQ_LINE_HEAD)
			lines->head[lines->len] = text[i];
		lines->tail[lines->len++ % IRQ_LINE_TAIL] = text[i];
	}
}

void irq_lines_end(struct irq_lines *lines)
{
	if (lines->len)
		line_end(lines);
}

void irq_actions(const char *text, unsigned irq, irq_found_fn found, void *context)
{
	while (*text && *text != '\n') {
		char name[NAME_MAX_LEN];
		size_t len = strcspn(text, ",\n");

		if (len < sizeof(name)) {
			memcpy(name, text, len);
			name[len] = '\0';
			found(context, irq, name);
		}
		text += len + (text[len] == ',');
	}
}
