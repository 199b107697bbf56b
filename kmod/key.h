/* SPDX-License-Identifier: GPL-2.0-only */
/* A key, copied in once. Most are short and stay on the stack. */
#ifndef ALZ_KEY_H
#define ALZ_KEY_H

#include <linux/slab.h>
#include <linux/uaccess.h>

#include <linux/asynclazy.h>

#define ALZ_KEY_INLINE	128

struct alz_key {
	void *data;
	u8 small[ALZ_KEY_INLINE];
};

static inline int alz_key_get(struct alz_key *key, u64 address, u32 size)
{
	const void __user *from = u64_to_user_ptr(address);

	if (!size || size > ASYNCLAZY_KEY_MAX)
		return -EINVAL;
	key->data = key->small;
	if (size > sizeof(key->small)) {
		key->data = memdup_user(from, size);
		return PTR_ERR_OR_ZERO(key->data);
	}
	return copy_from_user(key->small, from, size) ? -EFAULT : 0;
}

static inline void alz_key_put(struct alz_key *key)
{
	if (key->data != key->small)
		kfree(key->data);
}

#endif
