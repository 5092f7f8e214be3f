/* What the routing policy of a network namespace goes by. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Selectors that a question about a route has to be complete for, though few hosts have any: with
 * them, one destination has different ways. */
struct route_rules {
	bool ports; /* ip rule ... dport */
	bool tos;   /* ip rule ... tos, or dsfield */
};

/* Adds what a rule, the payload of an RTM_NEWRULE, has of these. Pure; the bytes may be damaged. */
void route_rule_parse(const uint8_t *payload, size_t len, struct route_rules *rules);

/* Asks for all rules, of both families. Where that is refused, they may be anything: both are true.
 */
void route_rules_read(struct route_rules *rules);
