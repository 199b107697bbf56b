/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's harness, with another main(): each test is run many times, and
 * each time another fault is injected. See drive.c.
 */
#ifndef FAULT_KSELFTEST_HARNESS_H
#define FAULT_KSELFTEST_HARNESS_H

#include_next "kselftest_harness.h"
#include "fault.h"

struct fault_metadata {
	struct __fixture_metadata *fixture;
	struct __fixture_variant_metadata *variant;
	struct __test_metadata *test;
};

static enum fault_verdict fault_run_once(void *arg)
{
	struct fault_metadata *m = arg;

	__run_test(m->fixture, m->variant, m->test);
	if (m->test->timed_out)
		return FAULT_HUNG;
	if (m->test->exit_code == KSFT_SKIP)
		return FAULT_SKIPPED;
	return __test_passed(m->test) ? FAULT_PASSED : FAULT_FAILED;
}

static int fault_all(int argc, char **argv)
{
	struct __fixture_variant_metadata none = { .name = "" };
	struct __test_results results;
	struct fault_metadata m;
	char name[256];

	fault_begin(argc, argv);
	for (m.fixture = __fixture_list; m.fixture; m.fixture = m.fixture->next) {
		for (m.variant = m.fixture->variant ?: &none; m.variant;
		     m.variant = m.variant->next) {
			for (m.test = m.fixture->tests; m.test; m.test = m.test->next) {
				snprintf(name, sizeof(name), "%s%s%s.%s", m.fixture->name,
					 m.variant->name[0] ? "." : "", m.variant->name,
					 m.test->name);
				m.test->results = &results;
				/* an emulated machine with KASAN is slow */
				m.test->timeout *= 2;
				fault_test(name, fault_run_once, &m);
			}
		}
	}
	return fault_end();
}

#undef TEST_HARNESS_MAIN
#define TEST_HARNESS_MAIN					\
	int main(int argc, char **argv)				\
	{							\
		(void)test_harness_run;				\
		return fault_all(argc, argv);			\
	}

#endif
