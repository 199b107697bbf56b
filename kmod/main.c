// SPDX-License-Identifier: GPL-2.0-only
#include <linux/mm.h>
#include <linux/miscdevice.h>
#include <linux/module.h>

#include "internal.h"
#include "device.h"

unsigned long alz_max_caches = 64;
module_param_named(max_caches, alz_max_caches, ulong, 0644);
MODULE_PARM_DESC(max_caches, "caches per user (64)");

unsigned long alz_max_bytes;
module_param_named(max_bytes, alz_max_bytes, ulong, 0644);
MODULE_PARM_DESC(max_bytes, "bytes that the caches of a user may grow to (half of the memory)");

unsigned long alz_max_waits = 1UL << 20;
module_param_named(max_waits, alz_max_waits, ulong, 0644);
MODULE_PARM_DESC(max_waits, "waits per client (1048576)");

unsigned long alz_max_tickets = 65536;
module_param_named(max_tickets, alz_max_tickets, ulong, 0644);
MODULE_PARM_DESC(max_tickets, "tickets per client (65536)");

struct workqueue_struct *alz_free_wq;
struct workqueue_struct *alz_reclaim_wq;

static struct miscdevice alz_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "asynclazy",
	.fops = &alz_device_fops,
	.mode = 0660,
};

static int __init alz_init(void)
{
	int err;

	if (!alz_max_bytes)
		alz_max_bytes = (totalram_pages() / 2) << PAGE_SHIFT;
	alz_free_wq = alloc_workqueue("asynclazy", WQ_UNBOUND, 0);
	if (!alz_free_wq)
		return -ENOMEM;
	alz_reclaim_wq = alloc_workqueue("asynclazy-reclaim", WQ_UNBOUND, 0);
	if (!alz_reclaim_wq) {
		err = -ENOMEM;
		goto free;
	}
	err = misc_register(&alz_misc);
	if (err)
		goto reclaim;
	return 0;
reclaim:
	destroy_workqueue(alz_reclaim_wq);
free:
	destroy_workqueue(alz_free_wq);
	return err;
}

static void __exit alz_exit(void)
{
	misc_deregister(&alz_misc);
	/* attachments that were let go are freed after a grace period */
	alz_process_flush();
	mmu_notifier_synchronize();
	alz_shared_unlink_all();
	destroy_workqueue(alz_free_wq);
	destroy_workqueue(alz_reclaim_wq);
}

module_init(alz_init);
module_exit(alz_exit);

MODULE_AUTHOR("The asynclazy authors");
MODULE_DESCRIPTION("Get a key, or initialise it exactly once on this host");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");
