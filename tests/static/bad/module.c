// SPDX-License-Identifier: GPL-2.0-only
/*
 * What checkpatch (a missing space), coccinelle (a needless test before kfree),
 * sparse (a user's pointer taken for the kernel's), W=1 (a variable that is set and
 * not used) and clang (an assignment to itself) must find. Nobody loads it.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

static char *buffer;

static int __init bad_init(void)
{
	buffer = kmalloc(64, GFP_KERNEL);
	if(!buffer)
		return -ENOMEM;
	buffer = buffer;
	return 0;
}

static void __exit bad_exit(void)
{
	char __user *user = NULL;
	char *p = user;
	int unread;

	unread = !p;
	if (buffer)
		kfree(buffer);
	if (p)
		pr_info("%p\n", p);
}

module_init(bad_init);
module_exit(bad_exit);
MODULE_DESCRIPTION("what the static checks must find");
MODULE_LICENSE("GPL");
