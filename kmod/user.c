// SPDX-License-Identifier: GPL-2.0-only
/* Quotas by user: how many caches, and how many bytes they may grow to. */
#include "internal.h"

static LIST_HEAD(alz_users);
static DEFINE_MUTEX(alz_users_lock);

static struct alz_user *alz_user_find(kuid_t uid)
{
	struct alz_user *user;

	lockdep_assert_held(&alz_users_lock);
	list_for_each_entry(user, &alz_users, link)
		if (uid_eq(user->uid, uid))
			return user;
	return NULL;
}

/**
 * alz_user_charge() - count one more cache
 * @uid: whose
 * @bytes: that it may grow to
 *
 * Return: the user, until alz_user_uncharge(); ERR_PTR: -EDQUOT, -ENOMEM.
 */
struct alz_user *alz_user_charge(kuid_t uid, u64 bytes)
{
	struct alz_user *fresh = kzalloc(sizeof(*fresh), GFP_KERNEL);
	struct alz_user *user;

	if (!fresh)
		return ERR_PTR(-ENOMEM);
	fresh->uid = uid;

	mutex_lock(&alz_users_lock);
	user = alz_user_find(uid);
	if ((user ? user->caches : 0) >= READ_ONCE(alz_max_caches) ||
	    bytes > READ_ONCE(alz_max_bytes) ||
	    (user ? user->bytes : 0) > READ_ONCE(alz_max_bytes) - bytes) {
		user = ERR_PTR(-EDQUOT);
		goto out;
	}
	if (!user) {
		user = fresh;
		list_add(&user->link, &alz_users);
		fresh = NULL;
	}
	user->caches++;
	user->bytes += bytes;
out:
	mutex_unlock(&alz_users_lock);
	kfree(fresh);
	return user;
}

/** alz_user_uncharge() - one cache of @bytes is gone */
void alz_user_uncharge(struct alz_user *user, u64 bytes)
{
	mutex_lock(&alz_users_lock);
	user->bytes -= bytes;
	if (!--user->caches) {
		list_del(&user->link);
		kfree(user);
	}
	mutex_unlock(&alz_users_lock);
}

/** alz_user_info() - quotas, and what of them is used */
void alz_user_info(kuid_t uid, struct asynclazy_info *info)
{
	struct alz_user *user;

	mutex_lock(&alz_users_lock);
	user = alz_user_find(uid);
	info->out_caches_used = user ? user->caches : 0;
	info->out_bytes_used = user ? user->bytes : 0;
	mutex_unlock(&alz_users_lock);
	info->out_caches_max = READ_ONCE(alz_max_caches);
	info->out_bytes_max = READ_ONCE(alz_max_bytes);
	info->out_waits_max = READ_ONCE(alz_max_waits);
	info->out_tickets_max = READ_ONCE(alz_max_tickets);
}
