#include "shim/command/doctor.h"
#include <stdarg.h>
#include <stdio.h>

void doctor_finding(struct doctor *doctor, enum severity severity, const char *what)
{
	if (severity == FINDING_PROBLEM)
		doctor->problems++;
	else
		doctor->warnings++;
	printf("%s: %s\n", severity == FINDING_PROBLEM ? "problem" : "warning", what);
}

void doctor_mend(const char *command, ...)
{
	va_list args;

	printf("    ");
	va_start(args, command);
	vprintf(command, args);
	va_end(args);
	putchar('\n');
}
