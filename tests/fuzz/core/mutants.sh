#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Breaks a copy of the core, one way at a time, and sees the replayer find it: by the
# corpus and 1,500 random inputs, or, of caches that recycle, within 8,000.
set -u
cd "$(dirname "$0")/../../.." || exit 1

usage() {
	cat <<'END'
usage: tests/fuzz/core/mutants.sh [NAME...]
Each deliberate bug in a copy of kmod/core must be found. Environment: BUILD, CC.
END
}

case ${1-} in
-h | --help)
	usage
	exit 0
	;;
esac
export BUILD=${BUILD:-build}
cc=${CC:-cc}
dir=$BUILD/fuzz/mutants
rm -rf "$dir"
mkdir -p "$dir"
make -s "$BUILD"/fuzz/{core,recycle}_harness.a || exit 1
harness=$BUILD/fuzz/core_harness.a libs=
flags=(-std=gnu11 -g -O1 -w -fno-omit-frame-pointer -fno-sanitize-recover=all
	"-fsanitize=address,undefined" -Itests/fuzz/core -Itests/unit/core_os -Ikmod/uapi)
total=0 lost=0
export ASAN_OPTIONS="${ASAN_OPTIONS-detect_leaks=1}"

# run NAME: 0 if the replayer has nothing to say
run() {
	if [ -n "$libs" ]; then
		# the shell's own word about an abort is nobody's
		{ timeout 1200 "$dir/replay" --seed 1 --random 8000 >"$dir/$1.log" 2>&1; } 2>/dev/null
		return
	fi
	find tests/fuzz/core/corpus -type f -print0 | sort -z |
		timeout 600 xargs -0 "$dir/replay" --seed 1 --random 1500 >"$dir/$1.log" 2>&1
}

# mutant NAME FILE SED-SCRIPT: the script must change the file
mutant() {
	local name=$1 file=$2 script=$3 said
	[ ${#only[@]} = 0 ] || [[ " ${only[*]} " = *" $name "* ]] || return
	total=$((total + 1))
	rm -rf "$dir/core"
	cp -r kmod/core "$dir/core"
	sed -i -E "$script" "$dir/core/$file"
	if cmp -s "kmod/core/$file" "$dir/core/$file"; then
		echo "$name: the change does not apply to $file"
		lost=$((lost + 1))
	elif ! "$cc" "${flags[@]}" -I"$dir/core" -o "$dir/replay" "$dir"/core/*.c \
		"$harness" $libs 2>"$dir/$name.log"; then
		echo "$name: does not compile: $(head -1 "$dir/$name.log")"
		lost=$((lost + 1))
	elif run "$name"; then
		echo "$name: NOT FOUND"
		lost=$((lost + 1))
	elif said=$(grep -m1 -aoE 'mismatch: [^s].*|(ERROR|error): .*|not so: .*' "$dir/$name.log"); then
		echo "$name: found: ${said:0:100}"
	else
		# its end says little: a time that is up, a build that cannot run
		echo "$name: nothing was found, but it failed: $(tail -n 1 "$dir/$name.log")"
		lost=$((lost + 1))
	fi
}

only=("$@")
unbroken() {
	rm -rf "$dir/core"
	cp -r kmod/core "$dir/core"
	"$cc" "${flags[@]}" -I"$dir/core" -o "$dir/replay" "$dir"/core/*.c "$harness" $libs || exit 1
	run unbroken && return
	echo "the unbroken core fails already: see $dir/unbroken.log"
	exit 1
}

unbroken

mutant no-estale-fence publish.c \
	'/^int alz_publish_commit/,/^}/ { s/(err = )alz_flight_owned\(client, r->ticket, &f\)/\1alz_flight_owned(client, r->ticket, \&f); f = alz_flight_find(cache, alz_record_key(r->record), r->record->key_size, r->record->hash); if (f) err = 0/ }'
mutant no-fence-after-memory publish.c \
	'/lock may have been let go/ { n; s/err = alz_flight_owned.*/err = 0;/ }'
mutant queue-reversed flight.c \
	'/^bool alz_flight_offer/,/^}/ s/f->able\.next/f->able.prev/'
mutant ends-reversed flight.c \
	'/^void alz_flight_end/,/^}/ s/f->waiters\.next/f->waiters.prev/'
mutant events-reversed wait.c \
	'/^void alz_wait_deliver/,/^}/ s/alz_list_add_tail\(&w->link, &client->ready\)/alz_list_add_tail(\&w->link, client->ready.next)/'
mutant offer-lost-at-cancel event.c \
	'/^static void alz_wait_take_back/,/^}/ s/\tif \(f\)$/\tif (0)/'
mutant cancelled-waiter-stays wait.c \
	'/^void alz_wait_drop/,/^}/ s/\talz_list_del\(&w->link\);//'
mutant next-waiter-lost-at-cancel event.c \
	'/^int alz_cancel/,/^}/ s/\t\talz_wait_take_back\(cache, w\);/\t\tif (w->state == ALZ_WAITING \&\& w->link.next->next != \&w->link \&\& w->link.next != \&w->flight->able \&\& w->link.next != \&w->flight->waiters) alz_list_del(w->link.next);\n&/'
mutant displaced-slot-dropped table.c \
	'/^static u64 \*alz_table_move/,/^}/ s/alz_os_store_release\(room, word\);//'
mutant clear-lets-slip table.c \
	'/^static u64 \*alz_table_move/,/^}/ s/alz_slot_cleared\(cache, word\)/false/'
mutant ttl-off-by-one arena.c 's/now >= alz_record_times/now > alz_record_times/'
mutant ttl-ignored publish.c '/^static bool alz_ttl_ends/,/^}/ s/return .*/return false;/'
mutant ttl-overflows core.h 's/return time < ASYNCLAZY_NEVER - from \? from \+ time : ASYNCLAZY_NEVER/return from + time/'
mutant error-ttl-ignored publish.c \
	'/^int alz_fail/,/^}/ s/ttl = ALZ_DEFAULT_NEGATIVE_TTL/ttl = 0/'
mutant record-one-granule-short slot.h \
	's/return alz_round_up\(size, 1ULL << ASYNCLAZY_GRANULE_SHIFT\)/return alz_round_up(size - 8, 1ULL << ASYNCLAZY_GRANULE_SHIFT)/'
mutant two-tickets flight.c \
	'/^void alz_flight_hand_over/,/^}/ s/alz_flight_revoke\(cache, f\);/if (alz_list_empty(\&f->able)) &/'
mutant no-recheck-before-ticket claim.c \
	'/^static int alz_claim_try/,/^}/ s/\tf = alz_flight_find\(cache, c->key, c->key_size, c->hash\);/\tf = spares->flight ? NULL : alz_flight_find(cache, c->key, c->key_size, c->hash);/'
mutant leak-on-error publish.c \
	'/^int alz_fail/,/^}/ s/\talz_os_free\(copy\);/\tif (!err) alz_os_free(copy);/'
mutant waiter-leaks claim.c 's/\talz_os_free\(spares.waiter\);//'
mutant generation-stands-still invalidate.c \
	'/^int alz_invalidate/,/^}/ s/\talz_generation_next\(cache\);//'
mutant refused-value-readable publish.c \
	'/^void alz_publish_abort/,/^}/ s/\tmemset\(r->record, 0, r->size\);//'
mutant slot-before-generation publish.c \
	'/^static int alz_ticket_reserve/,/^}/ s/\tr->record->generation = f->generation;//'
mutant room-is-not-given-back publish.c \
	'/^static int alz_ticket_reserve/,/^}/ s/alz_arena_give_back\(cache, r->offset, r->size\);//'
mutant quota-off-by-one claim.c 's/client->nr_waits >= client->max_waits/client->nr_waits > client->max_waits/'
mutant dead-record-stays table.c \
	'/^u64 \*alz_table_room/,/^}/ s/alz_bucket_evict_dead\(cache, other, alz_os_now\(\)\)/NULL/'
mutant tree-loses-a-wait tree.c \
	'/^void alz_tree_del/,/^}/ s/\*root = below \? below : above;/*root = below;/'
mutant wakes-too-early wait.c \
	'/^void alz_wait_deliver/,/^}/ s/\t\talz_os_wake\(w\);/\t\tif (w->kind == ALZ_WAIT_FD) alz_os_wake(w);/'

# caches that recycle
harness=$BUILD/fuzz/recycle_harness.a libs=-lcmocka
unbroken
mutant holds-not-looked-at reclaim.c 's/s->pinned = s->holds;/s->pinned = false;/'
mutant pins-not-looked-at reclaim.c 's/if \(client->dead\)/if (1)/'
mutant clients-pins-skipped reclaim.c \
	'/^static void alz_pins_look/,/^}/ s/alz_list_add_tail\(&client->link, &cache->clients\)/alz_list_add(\&client->link, \&cache->clients)/'
mutant replaced-while-copied reclaim.c 's/\tif \(!slot\) \{/\tif (!slot \&\& (slot = alz_table_room(cache, hash)) == NULL) {/'
mutant writers-not-counted policy.c 's/if \(s->writers\)/if (0)/'
mutant hand-left-behind policy.c 's/if \(arena->hand == &s->link\)/if (0)/'
mutant expired-too-early arena.c 's/if \(s->dead_until < dead_until\)/if (!s->dead_until)/'
mutant hold-not-taken flight.c 's/\+\+\*f->hold;/;/'
mutant hold-not-let-go flight.c 's/--\*f->hold;/;/'
mutant event-holds-nothing wait.c 's/w->reported && !client->dead/0/'
mutant hold-outlives-its-read wait.c '/^void alz_wait_forget/,/^}/ s/alz_flight_put\(w->flight\);//'
mutant claim-pins-nothing claim.c 's/alz_pin_set\(client, c->pin, answer->offset\);//'
mutant wait-pins-nothing event.c 's/alz_pin_set\(client, pin, answer->offset\);//'
mutant publish-pins-nothing publish.c 's/alz_pin_set\(client, r->pin, r->offset\);//'
mutant memfd-not-moved table.c 's/alz_blob_moved\(cache, r->generation, offset\);/;/'
mutant memfd-not-put table.c 's/alz_blob_unkeep\(cache, r->generation\);/;/'
mutant memfd-given-uncounted event.c 's/answer->blob->refs\+\+;/;/'
mutant memfd-bytes-stay publish.c 's/alz_blob_unreserve\(cache, blob->size\);/;/'
mutant used-not-taken-back arena.c 's/alz_arena_used\(cache, -s->head\);/;/'
mutant relinked-elsewhere table.c \
	'/^void alz_table_relink/,/^}/ s/word & ALZ_SLOT_TAG_MASK, offset/word \& ALZ_SLOT_TAG_MASK, offset + 64/'
mutant mark-stays flight.c \
	'/^void alz_flight_vacate/,/^}/ s/alz_table_mark\(cache, slot, false\)/(void)0/'
mutant read-past-its-time claim.c 's/!alz_record_readable\(r, alz_os_now\(\)\)/false/'
mutant evicted-with-its-flight table.c \
	'/^static u64 alz_slot_dropped/,/^}/ s/if \(!\(word & ASYNCLAZY_SLOT_REFRESHING\)\)/if (1)/'
mutant held-for-ever lease.c 's/alz_admit_held\(cache, f\)/(void)0/'
mutant turn-is-skipped admit.c '/^void alz_admit\(/,/^}/ s/alz_admits\(cache\)/false/'
mutant breaker-ignored claim.c \
	'/^static bool alz_claim_none/,/^}/ s/if \(answer->detail_size\)/if (0)/'
mutant newest-waiter-first word.c \
	'/^static void alz_word_wake_one/,/^}/ s/word->waiters\.next/word->waiters.prev/'
mutant untold-wake-lost word.c '/^void alz_word_leave/,/^}/ s/if \(untold\)/if (0)/'
mutant told-wake-goes-on word.c 's/w->woken && !w->reported/w->woken/'
mutant other-words-wait-on word.c \
	'/^static void alz_word_woken/,/^}/ s/\t\talz_word_unqueue\(cache, &entries\[i\]\);/\t\tif (\&entries[i] == e) &/'
mutant word-not-looked-at-again word.c \
	'/^static int alz_word_try/,/^}/ s/err = alz_words_look\(cache, q, changed\);/err = 0;/'
mutant waiting-not-counted word.c \
	'/^static void alz_word_unqueue/,/^}/ s/alz_word_count\(cache, e->word, -1\);/;/'
mutant words-quota-of-one word.c 's/client->nr_waits \+ q->count >/client->nr_waits + 1 >/'
mutant words-file-not-put word.c 's/if \(word->file\)/if (0)/'
mutant spare-words-leak word.c 's/\talz_word_spares_free\(&spares\);/;/'
mutant dead-holders-lock-is-free lock.c 's/value, ASYNCLAZY_LOCK_DIED\)/value, 0)/'
mutant heir-of-the-dead-sleeps lock.c 's/if \(!\(value & ASYNCLAZY_LOCK_OWNER\)\)/if (0)/'
mutant need-outlives-its-flight flight.c 's/\talz_need_end\(f\);//'

if [ "$total" = 0 ]; then
	echo "tests/fuzz/core/mutants.sh: no bug here is called ${only[*]}" >&2
	exit 2
fi
echo "# figure: mutants found $((total - lost))"
[ "$lost" = 0 ] || echo "$lost of $total are not found"
[ "$lost" = 0 ]
