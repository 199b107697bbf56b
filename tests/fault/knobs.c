// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which of the kernel's allocations and copies count: those with the module on
 * the stack. The kernel's image ends at _end, and modules lie behind it, so the
 * filter takes all of their area: it holds wherever the module is loaded to,
 * also while it is being loaded. No other module may be there.
 *
 * kmemleak allocates too, for each allocation: it is left out, since it gets
 * what it needs from a pool then, and nothing fails.
 */
#include "alz.h"
#include "fault.h"

#define DEBUGFS		"/sys/kernel/debug/"
#define MODULES_END	"0xffffffffff000000"
#define MANY		1000000000	/* counts down with each fault */
#define USERCOPY	2

static const char *const kinds[FAULT_SORTS] = { "failslab", "fail_page_alloc", "fail_usercopy" };
static __u64 left[FAULT_SORTS] = { MANY, MANY, MANY };
static const char *const parameters[] = {
	"max_caches", "max_bytes", "max_waits", "max_tickets"
};

static long saved[ARRAY_SIZE(parameters)];
static unsigned long image_end, leak_start, leak_end;

static bool knob_write(const char *kind, const char *name, const char *value)
{
	char path[128];
	FILE *f;
	bool ok;

	snprintf(path, sizeof(path), DEBUGFS "%s/%s", kind, name);
	f = fopen(path, "w");
	if (!f) {
		printf("# cannot open %s\n", path);
		return false;
	}
	ok = fputs(value, f) >= 0;
	return !fclose(f) && ok;
}

static bool knob_address(const char *kind, const char *name, unsigned long value)
{
	char text[32];

	snprintf(text, sizeof(text), "%lu", value);
	return knob_write(kind, name, text);
}

static __u64 knob_read(const char *kind, const char *name)
{
	unsigned long long value = 0;
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), DEBUGFS "%s/%s", kind, name);
	f = fopen(path, "r");
	if (!f)
		return 0;
	if (fscanf(f, "%llu", &value) != 1)
		value = 0;
	fclose(f);
	return value;
}

/* The end of the kernel, and where kmemleak's code is. */
static bool symbols_read(void)
{
	char line[512], name[256], type;
	FILE *f = fopen("/proc/kallsyms", "r");
	unsigned long at;

	if (!f)
		return false;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx %c %255s", &at, &type, name) != 3)
			continue;
		if (!strcmp(name, "_end"))
			image_end = at;
		/* one file's functions lie together */
		if ((type == 't' || type == 'T') && !strcmp(name, "__create_object"))
			leak_start = at;
		if ((type == 't' || type == 'T') && leak_start && at > leak_start &&
		    !strncmp(name, "kmemleak_", 9) && at > leak_end &&
		    at - leak_start < 65536)
			leak_end = at;
	}
	fclose(f);
	return image_end > 0;
}

static bool only_our_module(void)
{
	char line[256];
	FILE *f = fopen("/proc/modules", "r");
	bool only = true;

	while (f && fgets(line, sizeof(line), f))
		only &= !strncmp(line, "asynclazy ", 10);
	if (f)
		fclose(f);
	return only;
}

static bool kind_init(const char *kind)
{
	return knob_write(kind, "verbose", "0") &&
	       knob_address(kind, "times", MANY) &&
	       knob_write(kind, "probability", "0") &&
	       knob_write(kind, "stacktrace-depth", "32") &&
	       knob_write(kind, "require-end", MODULES_END) &&
	       knob_address(kind, "reject-start", leak_start) &&
	       knob_address(kind, "reject-end", leak_end);
}

bool fault_knobs_init(void)
{
	unsigned int i;

	if (!symbols_read()) {
		puts("# /proc/kallsyms does not tell where the kernel ends");
		return false;
	}
	if (!only_our_module()) {
		puts("# another module is loaded: its allocations would count too");
		return false;
	}
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!kind_init(kinds[i]))
			return false;
	return knob_write("failslab", "ignore-gfp-wait", "N") &&
	       knob_write("fail_page_alloc", "ignore-gfp-wait", "N") &&
	       knob_write("fail_page_alloc", "ignore-gfp-highmem", "N") &&
	       knob_write("fail_page_alloc", "min-order", "0");
}

static bool counts(unsigned int sort, enum fault_kind kind)
{
	bool copy = sort == USERCOPY;

	return copy == (kind == FAULT_COPY);
}

/* A kind that does not count requires a stack that cannot be. */
void fault_knobs_kind(enum fault_kind kind)
{
	static int set = -1;
	unsigned int i;

	if (set == (int)kind)
		return;
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!knob_address(kinds[i], "require-start",
				  counts(i, kind) ? image_end : -1UL))
			abort();
	set = kind;
}

/* Faults of each sort since the last time. */
void fault_knobs_injected(enum fault_kind kind, __u64 injected[FAULT_SORTS])
{
	unsigned int i;

	for (i = 0; i < FAULT_SORTS; i++) {
		__u64 now = left[i];

		if (counts(i, kind))
			now = knob_read(kinds[i], "times");
		injected[i] = left[i] - now;
		left[i] = now;
	}
}

void fault_parameters_save(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(parameters); i++)
		saved[i] = alz_parameter_get(parameters[i]);
}

/* A test that was killed could not do it itself. */
void fault_parameters_restore(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(parameters); i++)
		if (saved[i] >= 0 && alz_parameter_get(parameters[i]) != saved[i])
			alz_parameter_set(parameters[i], saved[i]);
}

/* How many use the module; -1: it is not loaded. */
long fault_module_users(void)
{
	FILE *f = fopen("/sys/module/asynclazy/refcnt", "r");
	long n = -1;

	if (!f)
		return -1;
	if (fscanf(f, "%ld", &n) != 1)
		n = -1;
	fclose(f);
	return n;
}
