/* JSON on standard output, a piece at a time. The key is NULL inside an array. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

void json_open(const char *key, char bracket);
void json_close(char bracket);
void json_number(const char *key, uint64_t value);
/* What is not known, a negative number, is null. */
void json_known(const char *key, long value);
/* In tenths. */
void json_tenths(const char *key, unsigned value);
/* 0 to 1, with four digits. */
void json_share(const char *key, uint64_t part, uint64_t whole);
void json_bool(const char *key, bool value);
void json_string(const char *key, const char *value);
/* The end of the document. */
void json_end(void);
