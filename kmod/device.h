/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef ALZ_DEVICE_H
#define ALZ_DEVICE_H

#include <linux/fs.h>

extern const struct file_operations alz_device_fops;

#endif
