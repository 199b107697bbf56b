// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* alazy: asynclazy for the command line. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "alazy.h"

static const struct command commands[] = {
	{ "run", "run a command once for all who ask at the same time", cmd_run },
};

#define NR_COMMANDS	(sizeof(commands) / sizeof(commands[0]))

static void help(FILE *to)
{
	size_t i;

	fputs("Usage: alazy COMMAND [option...] [argument...]\n\nCommands:\n", to);
	for (i = 0; i < NR_COMMANDS; i++)
		fprintf(to, "  %-8s %s\n", commands[i].name, commands[i].summary);
	fputs("\nOptions:\n"
	      "  --help     this text; alazy COMMAND --help has more\n"
	      "  --version  the version\n", to);
}

static void __attribute__((format(printf, 1, 0))) say_args(const char *format, va_list args)
{
	fputs("alazy: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
}

void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say_args(format, args);
	va_end(args);
}

int usage_error(const char *help_command, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say_args(format, args);
	va_end(args);
	fprintf(stderr, "See `%s`.\n", help_command);
	return STATUS_USAGE;
}

/* If who started us closed some of 0 to 2, nothing else may land there. */
static void fill_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	size_t i;

	fill_standard_fds();
	if (argc < 2)
		return usage_error("alazy --help", "name a command");
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") ||
	    !strcmp(argv[1], "help")) {
		help(stdout);
		return 0;
	}
	if (!strcmp(argv[1], "--version")) {
		puts("alazy " ALAZY_VERSION);
		return 0;
	}
	for (i = 0; i < NR_COMMANDS; i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].main(argc - 1, argv + 1);
	return usage_error("alazy --help", "no %s '%s'",
			   argv[1][0] == '-' ? "option" : "command", argv[1]);
}
