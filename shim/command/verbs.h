/* The verbs of the `rssshim` command, each in a file of its own. To add one: shim/command/NAME.c
 * with int verb_NAME(int argc, char **argv), a line here, and a paragraph in man/rssshim.1. */
#pragma once

/* VERB(name, arguments, help) in the order of `rssshim --help`. */
#define VERBS(VERB)                                                                                \
	VERB(run, "[--conf FILE] -- APP ARG...", "start APP under the shim")                       \
	VERB(check, "[--show] FILE...", "the errors of policy files; exit 0 or 1")                 \
	VERB(off, "PID", "turns steering off in a running application")                            \
	VERB(on, "PID", "turns it on again")                                                       \
	VERB(stat, "[PID] [--json]", "what the shim did: in that process, or everywhere")          \
	VERB(top, "[PID] [--interval SECONDS] [--count N]", "the same live; q ends it")            \
	VERB(explain, "PID [--json]",                                                              \
	     "the policy in effect; what is steered, what is not and why")                         \
	VERB(options, "[--ini | --man]", "every key, as a table, a policy file or a manual page")  \
	VERB(hash, "--key HEX [--transform T] [--fields F] [--remote IP:PORT --local IP:PORT]",    \
	     "the Toeplitz hash of a flow, or of each line `REMOTE LOCAL` of the input")           \
	VERB(predict, "--nic DEV [--conf FILE] [--remote IP:PORT --local IP:PORT] [--json]",       \
	     "bucket, queue and CPU that a flow arrives on; of each input line, the CPU")          \
	VERB(ports, "--nic DEV [--conf FILE] --remote IP:PORT --local IP --cpu N [--range LO-HI]", \
	     "the source ports that bring the replies to a CPU")                                   \
	VERB(nic, "[DEV] [--conf FILE] [--json]",                                                  \
	     "what is known about the NICs and from where; whether they can be steered")           \
	VERB(doctor, "[--conf FILE]",                                                              \
	     "what on this host works against alignment, and the command that fixes it")

/* argv[0] is "rssshim VERB", argv[argc] is NULL. Output on stdout, complaints on stderr. Returns
 * the exit status: 0, 1 where what was asked could not be done, 2 (of verb_usage) for wrong
 * arguments. */
#define VERB_PROTOTYPE(name, arguments, help) int verb_##name(int argc, char **argv);
VERBS(VERB_PROTOTYPE)
#undef VERB_PROTOTYPE

/* Says on stderr how the verb is called. Returns 2. */
int verb_usage(const char *verb);
/* The same of an argument too many. */
int verb_unexpected(const char *verb, const char *argument);
