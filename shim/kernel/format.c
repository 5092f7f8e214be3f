#include "shim/kernel/format.h"
#include <stdbool.h>
#include <stdint.h>

struct writer {
	char *out;
	size_t used, room; /* room excludes the final NUL */
};

/* %[-][0][width][.precision][l|ll|z]letter */
struct conversion {
	bool left, zeros;
	int width, precision; /* precision -1: none */
	char length;          /* 0, 'l', 'L' for ll, 'z' */
	char letter;
};

static void put(struct writer *writer, char c)
{
	if (writer->used < writer->room)
		writer->out[writer->used++] = c;
}

static void put_field(struct writer *writer, const struct conversion *conv, const char *text,
		      size_t len)
{
	size_t pad = conv->width > 0 && (size_t)conv->width > len ? (size_t)conv->width - len : 0;

	if (conv->zeros && !conv->left && pad && len && text[0] == '-') {
		put(writer, '-');
		text++, len--;
	}
	for (; pad && !conv->left; pad--)
		put(writer, conv->zeros ? '0' : ' ');
	for (size_t i = 0; i < len; i++)
		put(writer, text[i]);
	for (; pad; pad--)
		put(writer, ' ');
}

static void put_number(struct writer *writer, const struct conversion *conv, uint64_t value,
		       bool negative)
{
	unsigned base = conv->letter == 'x' ? 16 : 10;
	char digits[24];
	size_t at = sizeof(digits);

	do
		digits[--at] = "0123456789abcdef"[value % base];
	while (value /= base);
	if (negative)
		digits[--at] = '-';
	put_field(writer, conv, digits + at, sizeof(digits) - at);
}

static const char *read_count(const char *p, int *count, va_list *args)
{
	if (*p == '*') {
		*count = va_arg(*args, int);
		return p + 1;
	}
	for (*count = 0; *p >= '0' && *p <= '9' && *count < 10000; p++)
		*count = *count * 10 + (*p - '0');
	return p;
}

/* p is behind the '%'; returns the letter's place. */
static const char *read_conversion(const char *p, struct conversion *conv, va_list *args)
{
	*conv = (struct conversion){.precision = -1};
	for (; *p == '-' || *p == '0'; p++)
		*(*p == '-' ? &conv->left : &conv->zeros) = true;
	p = read_count(p, &conv->width, args);
	if (*p == '.')
		p = read_count(p + 1, &conv->precision, args);
	if (*p == 'z' || *p == 'l')
		conv->length = *p++;
	if (*p == 'l' && conv->length == 'l') {
		conv->length = 'L';
		p++;
	}
	conv->letter = *p;
	return p;
}

static void put_signed(struct writer *writer, const struct conversion *conv, va_list *args)
{
	int64_t value;

	switch (conv->length) {
	case 'L':
		value = va_arg(*args, long long);
		break;
	case 'l':
	case 'z':
		value = va_arg(*args, long);
		break;
	default:
		value = va_arg(*args, int);
	}
	put_number(writer, conv, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, value < 0);
}

static void put_unsigned(struct writer *writer, const struct conversion *conv, va_list *args)
{
	uint64_t value;

	switch (conv->length) {
	case 'L':
		value = va_arg(*args, unsigned long long);
		break;
	case 'l':
	case 'z':
		value = va_arg(*args, unsigned long);
		break;
	default:
		value = va_arg(*args, unsigned);
	}
	put_number(writer, conv, value, false);
}

static void put_string(struct writer *writer, const struct conversion *conv, const char *text)
{
	size_t len = 0;

	if (!text)
		text = "(null)";
	while ((conv->precision < 0 || len < (size_t)conv->precision) && text[len])
		len++;
	put_field(writer, &(struct conversion){.left = conv->left, .width = conv->width}, text,
		  len);
}

size_t format_text_v(char *out, size_t size, const char *format, va_list args)
{
	struct writer writer = {.out = out, .room = size - 1};
	struct conversion conv;
	va_list left; /* a va_list parameter may be an array: its address would be another type */

	va_copy(left, args);
	for (const char *p = format; *p; p++) {
		if (*p != '%') {
			put(&writer, *p);
			continue;
		}
		const char *start = p;
		p = read_conversion(p + 1, &conv, &left);
		switch (conv.letter) {
		case 's':
			put_string(&writer, &conv, va_arg(left, const char *));
			break;
		case 'c':
			put(&writer, (char)va_arg(left, int));
			break;
		case 'd':
			put_signed(&writer, &conv, &left);
			break;
		case 'u':
		case 'x':
			put_unsigned(&writer, &conv, &left);
			break;
		case '%':
			put(&writer, '%');
			break;
		default:
			p = start;
			put(&writer, '%');
		}
	}
	va_end(left);
	out[writer.used] = '\0';
	return writer.used;
}

size_t format_text(char *out, size_t size, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	size_t used = format_text_v(out, size, format, args);
	va_end(args);
	return used;
}
