// SPDX-License-Identifier: GPL-2.0-only
/*
 * After all programs: have they ended, has every call that allocates, and every call that copies,
 * had a fault that made it fail; is anything left; can the module be unloaded.
 */
#include <stdarg.h>
#include <sys/syscall.h>

#include "alz.h"
#include "fault.h"

/* Tests have bounds of time, and this machine is slow: so many may fail by that. */
#define FLAKY		2
#define FLAKY_RUNS	500

/* What cannot get a fault of its kind, and why. */
static const __u32 no_memory[] = {
	/* these allocate nothing */
	_IOC_NR(ASYNCLAZY_IOC_INFO), _IOC_NR(ASYNCLAZY_IOC_UNLINK),
	_IOC_NR(ASYNCLAZY_IOC_GEOMETRY), _IOC_NR(ASYNCLAZY_IOC_STATS),
	_IOC_NR(ASYNCLAZY_IOC_ABANDON), _IOC_NR(ASYNCLAZY_IOC_CANCEL),
	_IOC_NR(ASYNCLAZY_IOC_FETCH), _IOC_NR(ASYNCLAZY_IOC_CLEAR),
	_IOC_NR(ASYNCLAZY_IOC_EXTEND), _IOC_NR(ASYNCLAZY_IOC_WAKE), FAULT_READ,
};

static const __u32 no_copy[] = {
	/* these copy nothing while in the module */
	FAULT_POLL, FAULT_EPOLL, FAULT_MODULE, FAULT_TOUCH,
};

static const __u32 calls[] = {
	_IOC_NR(ASYNCLAZY_IOC_INFO), _IOC_NR(ASYNCLAZY_IOC_CREATE),
	_IOC_NR(ASYNCLAZY_IOC_OPEN), _IOC_NR(ASYNCLAZY_IOC_UNLINK),
	_IOC_NR(ASYNCLAZY_IOC_ATTACH), _IOC_NR(ASYNCLAZY_IOC_GEOMETRY),
	_IOC_NR(ASYNCLAZY_IOC_STATS), _IOC_NR(ASYNCLAZY_IOC_PUBLISH),
	_IOC_NR(ASYNCLAZY_IOC_FAIL), _IOC_NR(ASYNCLAZY_IOC_ABANDON),
	_IOC_NR(ASYNCLAZY_IOC_CANCEL), _IOC_NR(ASYNCLAZY_IOC_FETCH),
	_IOC_NR(ASYNCLAZY_IOC_SET), _IOC_NR(ASYNCLAZY_IOC_INVALIDATE),
	_IOC_NR(ASYNCLAZY_IOC_CLEAR), _IOC_NR(ASYNCLAZY_IOC_MEMFD),
	_IOC_NR(ASYNCLAZY_IOC_EXTEND), _IOC_NR(ASYNCLAZY_IOC_FLIGHT),
	_IOC_NR(ASYNCLAZY_IOC_EXPIRE), _IOC_NR(ASYNCLAZY_IOC_WAIT), _IOC_NR(ASYNCLAZY_IOC_WAKE),
	_IOC_NR(ASYNCLAZY_IOC_BATCH), FAULT_READ, FAULT_EPOLL, FAULT_MODULE, FAULT_TOUCH,
};

/* With VALUE_FD. */
static const __u32 stores[] = {
	_IOC_NR(ASYNCLAZY_IOC_PUBLISH), _IOC_NR(ASYNCLAZY_IOC_SET),
};

static const __u32 claims[] = {
	INIT, INIT | BLOCK, INIT | EVENT, INIT | WAITFD, INIT | EVENT | FOLLOW,
	EVENT, WAITFD,
};

static struct fault_sums *sums;
static __u64 sum;
static __u32 wanted_id;
static enum fault_kind wanted_kind;
static __u64 wanted_injected, wanted_failed;

static void verdict(bool ok, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	printf("%sok %u ", ok ? "" : "not ", ++sums->cases);
	vprintf(format, ap);
	putchar('\n');
	va_end(ap);
	sums->passed += ok;
	sums->failed += !ok;
}

static bool in(const __u32 *set, size_t n, __u32 nr)
{
	while (n--)
		if (set[n] == nr)
			return true;
	return false;
}

static void add_up(__u32 id, enum fault_kind kind, __u64 n, __u64 n_failed)
{
	sum += n;
	if (id == wanted_id && kind == wanted_kind) {
		wanted_injected += n;
		wanted_failed += n_failed;
	}
}

static void check_call(__u32 id, enum fault_kind kind)
{
	char name[64];

	wanted_id = id;
	wanted_kind = kind;
	wanted_injected = 0;
	wanted_failed = 0;
	sum = 0;
	fault_ledger_each(add_up);
	/* a wait fd's own copies are in read() */
	verdict(wanted_failed > 0, "%s fails by a fault of %s # %llu faults, %llu failed it",
		fault_call_name(id, name, sizeof(name)),
		kind == FAULT_MEMORY ? "memory" : "a user copy", wanted_injected, wanted_failed);
}

static void check_calls(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		if (!in(no_memory, ARRAY_SIZE(no_memory), calls[i]))
			check_call(FAULT_ID(calls[i], 0), FAULT_MEMORY);
		if (!in(no_copy, ARRAY_SIZE(no_copy), calls[i]))
			check_call(FAULT_ID(calls[i], 0), FAULT_COPY);
	}
	for (i = 0; i < ARRAY_SIZE(stores); i++) {
		check_call(FAULT_ID(stores[i], ASYNCLAZY_VALUE_FD), FAULT_MEMORY);
		check_call(FAULT_ID(stores[i], ASYNCLAZY_VALUE_FD), FAULT_COPY);
	}
	for (i = 0; i < ARRAY_SIZE(claims); i++) {
		check_call(FAULT_ID(_IOC_NR(ASYNCLAZY_IOC_CLAIM), claims[i]), FAULT_MEMORY);
		check_call(FAULT_ID(_IOC_NR(ASYNCLAZY_IOC_CLAIM), claims[i]), FAULT_COPY);
	}
}

static void show_sum(void)
{
	sum = 0;
	fault_ledger_each(add_up);
	printf("# figure: faults injected %llu\n", sum);
}

static void leak_write(const char *command)
{
	FILE *f = fopen("/sys/kernel/debug/kmemleak", "w");

	if (!f || fputs(command, f) < 0 || fclose(f))
		verdict(false, "kmemleak can be told to %s", command);
}

/* It needs two looks to be sure. */
static void check_leaks(void)
{
	struct timespec age = { .tv_sec = 6 };
	char line[256];
	unsigned int n = 0;
	FILE *f;

	nanosleep(&age, NULL);		/* younger objects are not reported */
	leak_write("scan");
	leak_write("scan");
	f = fopen("/sys/kernel/debug/kmemleak", "r");
	while (f && fgets(line, sizeof(line), f)) {
		n += !strncmp(line, "unreferenced", 12);
		printf("# %s", line);
	}
	verdict(f && !n, "kmemleak finds nothing # %u objects", n);
	if (f)
		fclose(f);
}

static void check_left(void)
{
	__u64 until = alz_now() + ALZ_SOON_MS * ALZ_MSEC;
	struct timespec t = { .tv_nsec = ALZ_MSEC };
	struct asynclazy_info i;
	int err = alz_info(&i);

	verdict(!err && !i.out_caches_used && !i.out_bytes_used,
		"no cache is left # %llu caches, %llu bytes",
		i.out_caches_used, i.out_bytes_used);
	while ((err = syscall(SYS_delete_module, "asynclazy", O_NONBLOCK) ? errno : 0) &&
	       alz_now() < until)
		nanosleep(&t, NULL);
	verdict(!err, "the module can be unloaded # %s", strerror(err));
}

int main(int argc, char **argv)
{
	unsigned int programs = argc == 3 ? atoi(argv[2]) : 0;

	if (!programs) {
		puts("usage: finish LEDGER PROGRAMS");
		return 2;
	}
	fault_ledger_open(argv[1]);
	sums = fault_ledger_sums();
	verdict(sums->programs == programs, "all programs came to their end # %u of %u",
		sums->programs, programs);
	/* programs that were named do not come to all calls */
	if (!getenv("FAULT_NAMED"))
		check_calls();
	verdict(sums->flaky <= FLAKY + sums->runs / FLAKY_RUNS,
		"failures with a fault come again with it # %u in %llu runs did not",
		sums->flaky, sums->runs);
	show_sum();
	check_left();
	/* the module's own objects must be gone now, wherever they hang */
	check_leaks();
	printf("1..%u\n# totals: pass:%u fail:%u skip:%u\n", sums->cases, sums->passed,
	       sums->failed, sums->skipped);
	return sums->failed != 0;
}
