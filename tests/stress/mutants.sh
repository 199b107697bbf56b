#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Modules with a deliberate bug each, which the storm must find.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/mutants.sh
. tests/mutants.sh

found() { # MODULE KILLS
	tools/vm/run --kernel 6.12 --module "$1" --memory 2G --timeout 900 --quiet-console -- \
		"$BUILD/stress/storm" --kills "$2" --round 1000 --watchdog 60 --seed 1 --unload
}

broken() { # NAME SAID FILE SED-SCRIPT [KILLS]
	mutant 6.12 "$1" "$2" "$3" "$4" "${5:-2000}"
}
# Not here, as the storm does not find them, or not soon: an offer that the dead leave goes
# on after `accept` anyway, an heir's wait ends by its deadline, and a generation that stands
# still, or a ticket of an old one, is hidden by others. tests/fuzz/core/mutants.sh has them.
unbroken 6.12 8000
broken value-that-is-cut-is-published 'wrong: a value with a hole' call_store.c \
	's/return !(copy_from_user_nofault\(.*\));/(void)!\1; return true;/'
broken readers-are-not-looked-at 'wrong: .*(pinned|in place|value of)' \
	core/reclaim.c 's/if \(client->dead\)/if (1)/' 12000
broken pins-of-the-dead-stay 'wrong: .* [1-9][0-9]* segments held' core/reclaim.c \
	's/s->pinned = s->holds;/s->pinned |= s->holds;/'
broken memfds-stay 'wrong: .* [1-9][0-9]* memfds of' core/table.c \
	's/alz_blob_unkeep\(cache, r->generation\);/;/'
broken clients-stay 'wrong: .* clients \(of' core/client.c 's/cache->count\.clients--;//'
broken caches-stay 'wrong: .* caches are charged' process.c \
	'/^static void alz_process_leave/,/^}/ s/\talz_shared_put\(process->shared\);//'
broken pages-of-clients-stay 'not ok .* kernel memory does not grow' process.c \
	's/\tvfree\(process->pins\);//' 4000
# with 8000 kills it asks for heirs of locks
broken lock-of-the-dead-is-free 'wrong: .* lock |not ok .* locks are taken' core/lock.c \
	's/value, ASYNCLAZY_LOCK_DIED\)/value, 0)/' 8000
# what it lets go looks as if it was evicted
broken values-are-not-kept 'wrong: .* it was published, and is not there' core/publish.c \
	'/^static void alz_commit_link/,/^}/ s/alz_table_store\(cache, slot, (alz_record_word.*)\);/alz_table_store(cache, slot, r->record->hash % 16 ? \1 : ASYNCLAZY_SLOT_EMPTY);/'
mutants_end
