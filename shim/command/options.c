#include "shim/command/verbs.h"
#include "shim/policy/option.h"
#include <stdio.h>
#include <string.h>

static void print_row(const struct policy_option *option)
{
	char name[64];

	snprintf(name, sizeof(name), "[%s%s] %s", option->section,
		 strcmp(option->section, "nic") == 0 ? " NAME" : "", option->key);
	printf("%-24s %-10s %s\n", name, option->text, option->allowed);
}

static void print_table(void)
{
	printf("%-24s %-10s %s\n", "KEY", "DEFAULT", "ALLOWED");
	for (int id = 0; id < OPTION_COUNT; id++)
		print_row(&policy_options[id]);
	for (int id = 0; id < NIC_OPTION_COUNT; id++)
		print_row(&policy_nic_options[id]);
}

static void print_ini_key(const struct policy_option *option)
{
	printf("; %s\n;   %s\n;%s =%s%s\n\n", option->help, option->allowed, option->key,
	       *option->text ? " " : "", option->text);
}

static void print_ini(void)
{
	const char *section = "";

	puts("; Policy of librssshim, with every key at its default: see rssshim.ini(5).\n"
	     "; Made by `rssshim options --ini`; `rssshim check FILE` finds what is wrong in one.\n"
	     ";\n"
	     "; Read from the file that RSSSHIM_CONF names, else /etc/rssshim/<program>.ini, else\n"
	     "; /etc/rssshim/default.ini. RSSSHIM_<SECTION>_<KEY>=value in the environment\n"
	     "; overrides a key, RSSSHIM_NIC_<NAME>_<KEY>=value one of a NIC.\n"
	     "; A comment begins at a ';' behind a blank; an indented line without '=' continues\n"
	     "; the value above it.\n");
	for (int id = 0; id < OPTION_COUNT; id++) {
		if (strcmp(section, policy_options[id].section) != 0)
			printf("[%s]\n", policy_options[id].section);
		section = policy_options[id].section;
		print_ini_key(&policy_options[id]);
	}
	puts("; A section for each NIC of which the kernel reports too little, or the wrong "
	     "thing.\n"
	     "; Naming a NIC also says that it spreads packets over its queues.\n"
	     ";[nic eth0]");
	for (int id = 0; id < NIC_OPTION_COUNT; id++)
		print_ini_key(&policy_nic_options[id]);
}

/* '-' and '\\' have meanings of their own in troff. */
static void print_troff(const char *text)
{
	for (; *text; text++) {
		if (*text == '-' || *text == '\\')
			putchar('\\');
		putchar(*text);
	}
}

static void print_man_key(const struct policy_option *option)
{
	printf(".TP\n\\fB%s\\fR = ", option->key);
	print_troff(option->allowed);
	putchar('\n');
	print_troff(option->help);
	fputs(" (default: ", stdout);
	print_troff(*option->text ? option->text : "empty");
	puts(")");
}

static void print_man(void)
{
	const char *section = "";

	for (int id = 0; id < OPTION_COUNT; id++) {
		if (strcmp(section, policy_options[id].section) != 0)
			printf(".SS [%s]\n", policy_options[id].section);
		section = policy_options[id].section;
		print_man_key(&policy_options[id]);
	}
	puts(".SS [nic NAME]");
	for (int id = 0; id < NIC_OPTION_COUNT; id++)
		print_man_key(&policy_nic_options[id]);
}

int verb_options(int argc, char **argv)
{
	if (argc == 1)
		print_table();
	else if (argc == 2 && strcmp(argv[1], "--ini") == 0)
		print_ini();
	else if (argc == 2 && strcmp(argv[1], "--man") == 0)
		print_man();
	else
		return verb_unexpected("options", argv[argc > 2 ? 2 : 1]);
	return 0;
}
