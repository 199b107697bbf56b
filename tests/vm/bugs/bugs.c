// SPDX-License-Identifier: GPL-2.0-only
/*
 * One deliberate bug of each kind that the debug kernels are there to find,
 * made when the module is loaded with bug=NAME: see tests/vm/debug_test.sh.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>

static char *bug = "none";
module_param(bug, charp, 0444);

static DEFINE_MUTEX(first);
static DEFINE_MUTEX(second);
static DEFINE_SPINLOCK(lock);
static struct completion done;
static int counter;
static int shift_by = 40;

/* The compiler must neither see the bug nor take it away. */
#define HIDDEN(p) ({ void *_p = (p); OPTIMIZER_HIDE_VAR(_p); _p; })

static void bug_uaf(void)
{
	char *p = kmalloc(64, GFP_KERNEL);

	if (!p)
		return;
	kfree(p);
	WRITE_ONCE(*(char *)HIDDEN(p), 1);
}

static void bug_bounds(void)
{
	char *p = kmalloc(60, GFP_KERNEL);

	if (!p)
		return;
	WRITE_ONCE(((char *)HIDDEN(p))[61], 1);
	kfree(p);
}

static void bug_double_free(void)
{
	char *p = kmalloc(64, GFP_KERNEL);

	kfree(p);
	kfree(HIDDEN(p));
}

static void bug_inversion(void)
{
	mutex_lock(&first);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);

	mutex_lock(&second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
}

static void bug_atomic(void)
{
	spin_lock(&lock);
	msleep(20);
	spin_unlock(&lock);
}

static void bug_leak(void)
{
	/* 16: the stack may keep an old pointer to one by chance */
	int i;

	for (i = 0; i < 16; i++)
		memset(kmalloc(200, GFP_KERNEL | __GFP_NOFAIL), i, 200);
}

static void bug_list(void)
{
	struct list_head head, *entry = kzalloc(sizeof(*entry), GFP_KERNEL);

	if (!entry)
		return;
	INIT_LIST_HEAD(&head);
	list_add(entry, &head);
	list_del(entry);
	list_del(HIDDEN(entry));
	kfree(entry);
}

static void bug_shift(void)
{
	counter = 1 << READ_ONCE(shift_by);
}

static int racer(void *unused)
{
	unsigned long end = jiffies + 5 * HZ;

	while (time_before(jiffies, end)) {
		counter++;
		barrier(); /* or it is added up in a register */
	}
	complete(&done);
	return 0;
}

static void bug_race(void)
{
	int i;

	init_completion(&done);
	for (i = 0; i < 2; i++)
		if (IS_ERR(kthread_run(racer, NULL, "racer")))
			complete(&done);
	for (i = 0; i < 2; i++)
		wait_for_completion(&done);
}

static const struct {
	const char *name;
	void (*make)(void);
} bugs[] = {
	{ "uaf", bug_uaf },
	{ "bounds", bug_bounds },
	{ "double-free", bug_double_free },
	{ "inversion", bug_inversion },
	{ "atomic", bug_atomic },
	{ "leak", bug_leak },
	{ "list", bug_list },
	{ "shift", bug_shift },
	{ "race", bug_race },
};

static int __init bugs_init(void)
{
	int i;

	if (!strcmp(bug, "none"))
		return 0;
	for (i = 0; i < ARRAY_SIZE(bugs); i++) {
		if (!strcmp(bug, bugs[i].name)) {
			bugs[i].make();
			return 0;
		}
	}
	return -EINVAL;
}
module_init(bugs_init);

static void __exit bugs_exit(void)
{
}
module_exit(bugs_exit);

MODULE_DESCRIPTION("deliberate bugs, to see them found");
MODULE_LICENSE("GPL");
