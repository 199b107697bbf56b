/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A client: a process with one thread, so one call at a time, that may be
 * killed between any two calls, and out of a blocked one. The state labels are
 * what the coverage check looks for.
 */

/* alz_claim(), with the lock held. Sets @got to what it answered. */
#define GOT_NOTHING	0
#define GOT_VALUE	1
#define GOT_TICKET	2
#define GOT_WAIT	3

/* One form of waiting out of those that this search is about. */
inline choose_form()
{
	if
	:: FORMS & BLOCK -> form = BLOCK
	:: FORMS & EVENT -> form = EVENT
	:: FORMS & FD -> form = FD
	:: (FORMS & FOLLOW) && loads -> form = FOLLOW
	fi
}

inline claim_try(me)
{
	if
	:: slot >= FILLED ->
		assert(slot_gen > invalidated);
		got = GOT_VALUE
	:: else ->
		if
		:: loads = 1
		:: loads = 0
		fi;
		if
#ifdef NO_RECHECK
		:: found != NONE ->
			choose_form();
			wait_enqueue(me, found, form, loads);
			got = GOT_WAIT
		:: found == NONE && cur == NONE && loads && generation < GENS ->
#else
		:: cur != NONE ->
			choose_form();
			wait_enqueue(me, cur, form, loads);
			got = GOT_WAIT
		:: cur == NONE && loads && generation < GENS ->
#endif
			/* alz_claim_start() */
			if
			:: FORMS & FOLLOW ->
				flight_start(me);
				wait_enqueue(me, cur, FOLLOW, 0)
			:: FORMS & ~FOLLOW ->
				flight_start(me)
			fi;
			t = TICKET(cur);
			believe(me, t);
			got = GOT_TICKET
		:: else -> got = GOT_NOTHING	/* EMPTY, or the search's bound */
		fi
	fi
}

/*
 * Sleep until the wait has ended, as wait_event() and poll() do: on the queue,
 * look, sleep. @patient: nothing else ends the sleep.
 */
inline sleep_until_told(me)
{
	do
#ifdef WAKE_IS_AN_EDGE
	:: atomic { c[me].wstate != WAITING -> break }
	:: c[me].wstate == WAITING ->
		atomic { c[me].on_queue = 1; c[me].runnable = 0 };
#else
	:: atomic { c[me].on_queue = 1; c[me].runnable = 0 };
		if
		:: atomic { c[me].wstate != WAITING -> break }
		:: c[me].wstate == WAITING
		fi;
#endif
		if
		:: c[me].runnable
		:: !patient -> break
		fi
	od;
	atomic { c[me].on_queue = 0; c[me].runnable = 0 }
}

/* The ticket is ended, or was found to be another's. */
inline let_go(me)
{
	c[me].holds = 0;
	t = 0
}

inline invalidate()
{
	if
	:: cur != NONE && generation == GENS && nempty(able[cur])
		/* the search's bound */
	:: cur == NONE || generation < GENS || empty(able[cur]) ->
		invalidated = generation;
		if
		:: slot >= FILLED -> slot = EMPTY; slot_gen = 0
		:: else
		fi;
		if
		:: cur != NONE -> flight_invalidate(cur)
		:: else
		fi
	fi;
	unlocked()
}

/* alz_commit_set() */
inline set()
{
	if
	:: generation == GENS
	:: else ->
		generation++;
		slot = FILLED;
		slot_gen = generation;
		if
		:: cur != NONE -> flight_end(cur, HIT, generation)
		:: else
		fi
	fi;
	unlocked()
}

/*
 * alz_publish_begin(), the copy, alz_publish_commit(); and alz_fail() of an
 * error that is kept, which lets go of the lock in the same place.
 */
inline publish(me)
{
	atomic {
		if
		:: OWNED(me, t) -> g = fl[cur].gen
		:: else ->
stale_at_begin:		let_go(me)
		fi
	};
	if
	:: g ->
		atomic {
			if
			:: OWNED(me, t) ->
				store_value(me, g);
#ifdef TELL_FIRST
				flight_end(cur, HIT, g)
#else
				slot_gen = g;
				if
				:: true ->
published:				slot = FILLED;
					flight_end(cur, HIT, g)
				:: true ->
failed:					slot = FAILED;
					flight_end(cur, ERROR, g)
				fi;
				unlocked()
#endif
			:: else ->
stale_at_commit:		skip
			fi;
			let_go(me)
		};
#ifdef TELL_FIRST
		tell_all();
		atomic { slot = FILLED; slot_gen = g; g = 0; unlocked() }
#else
		g = 0;
		tell_all()
#endif
	:: else
	fi
}

/* alz_fail() of one that is not kept */
inline fail(me)
{
	atomic {
		if
		:: OWNED(me, t) ->
			slot = EMPTY;
			flight_end(cur, ERROR, 0)
		:: else
		fi;
		let_go(me);
		unlocked()
	};
	tell_all()
}

inline abandon(me)
{
	atomic {
		if
		:: OWNED(me, t) ->
			c[me].holds = 0;
			flight_hand_over(cur)
		:: else
		fi;
		let_go(me);
		unlocked()
	};
	tell_all()
}

proctype client(byte me)
{
	byte tell = NONE, t, g;
	bit patient;
#ifdef NO_RECHECK
	byte found;
#endif

between_calls:
	if
	:: atomic {	/* alz_reader_get(): no lock */
		acts && slot >= FILLED -> acts--;
hit:		assert(slot_gen > invalidated);
		goto between_calls
	   }
	:: atomic { acts && generation -> acts--; invalidate() };
		tell_all(); goto between_calls
	:: atomic { acts && generation < GENS -> acts--; set() };
		tell_all(); goto between_calls
#ifdef NO_RECHECK
	/* alz_claim_try() returned EAGAIN: memory is taken without the lock */
	:: atomic { acts && slot < FILLED -> acts--; found = cur }
#else
	/* whatever the reader saw before, and the claim before it took memory */
	:: atomic { acts -> acts--; goto claims }
#endif
	:: goto exits
	fi;

claims:	atomic {
		claim_try(me);
		if
		:: got == GOT_VALUE || got == GOT_NOTHING -> goto between_calls
		:: got == GOT_TICKET -> unlocked(); goto owner
		:: got == GOT_WAIT ->
			if
			:: patient = 1
			:: patient = 0
			fi;
#ifndef NO_RECHECK
			unlocked()
#endif
		fi
	};

waits:	if
	:: c[me].form == BLOCK -> goto waits_block
	:: c[me].form == EVENT || c[me].form == FOLLOW -> goto waits_event
	:: c[me].form == FD -> goto waits_fd
	fi;

waits_block:
	sleep_until_told(me);
	atomic {	/* alz_wait_finish() */
		if
		:: c[me].wstate == WAITING ->
timed_out:		wait_drop(me); unlocked(); goto between_calls
		:: c[me].wstate == ENDED ->
			heard(me, c[me].wflight);
			wait_drop(me); unlocked(); goto between_calls
		:: c[me].wstate == OFFERED ->
#ifdef TIMEOUT_WINS
			if
			:: !patient -> wait_drop(me); unlocked(); goto between_calls
			:: else
			fi;
#endif
ticket_block:		t = c[me].wticket;
			believe(me, t);
				wait_drop(me); unlocked(); goto owner
		fi
	};

waits_event:
	sleep_until_told(me);
	if
	:: !patient -> goto cancels
	:: !patient -> goto exits
	:: c[me].wstate != WAITING
	fi;
	/* alz_events_copy() */
	atomic { c[me].reported = 1; unlocked() };
	/* the event is copied to the reader; alz_events_done(), alz_event_taken() */
	atomic {
		if
		:: c[me].wstate == ENDED ->
			heard(me, c[me].wflight);
			wait_drop(me); unlocked(); goto between_calls
		:: c[me].wstate == OFFERED ->
			t = c[me].wticket;
			believe(me, t);
				if
			:: c[me].form == FOLLOW ->
				c[me].can_init = 0;
				c[me].reported = 0;
				c[me].wticket = 0;
				if
				:: fl[c[me].wflight].ended ->
overtaken_follower:			c[me].wstate = ENDED
				:: else ->
follows:				c[me].wstate = WAITING;
					waiters[c[me].wflight]!me
				fi
			:: else ->
ticket_event:			wait_drop(me)
			fi;
			unlocked(); goto owner
		fi
	};

cancels:
	atomic {	/* alz_cancel() */
#ifdef CANCEL_LOSES_OFFER
		wait_drop(me);
#else
		if
		:: STANDS(me) ->
offer_cancelled:	skip
		:: else
		fi;
		wait_take_back(me);
#endif
		unlocked()
	};
	tell_all();
	goto between_calls;

waits_fd:
	sleep_until_told(me);
	if
	:: !patient -> goto closes
	:: !patient -> goto exits
	:: c[me].wstate != WAITING
	fi;
	/* alz_waitfd_copy(): looks, copies, and looks again to report */
	atomic {
		c[me].reported = 1;
		if
		:: c[me].wstate == ENDED ->
			heard(me, c[me].wflight); unlocked(); goto closes
		:: c[me].wstate == OFFERED ->
ticket_fd:		t = c[me].wticket;
			believe(me, t);
				unlocked()
		fi
	};
	/* a ticket that was read stays its reader's */
closes:	atomic {	/* alz_wait_fd_close() */
		if
		:: c[me].reported -> wait_drop(me)
		:: else ->
#ifdef CLOSE_LOSES_OFFER
			wait_drop(me)
#else
			if
			:: STANDS(me) ->
offer_closed:			skip
			:: else
			fi;
			wait_take_back(me)
#endif
		fi;
		unlocked()
	};
	tell_all();
	if
	:: c[me].holds -> goto owner
	:: else -> goto between_calls
	fi;

owner:	if
	:: true -> publish(me)
	:: true -> fail(me)
	:: true -> abandon(me)
	:: atomic { acts -> acts--; invalidate() }; tell_all(); goto owner
	:: atomic { acts && generation < GENS -> acts--; set() }; tell_all(); goto owner
	:: goto exits
	fi;
	/* FOLLOW: the wait is still there */
	if
	:: c[me].wstate != NO_WAIT -> patient = 1; goto waits
	:: else -> goto between_calls
	fi;

exits:	/* alz_client_die() */
	atomic {
		c[me].dead = 1;
		let_go(me)
	};
	if
	:: c[me].wstate != NO_WAIT ->
waiter_died:	atomic {
#ifdef DEATH_LOSES_OFFER
			if
			:: STANDS(me) -> fl[cur].owner = NONE
			:: else
			fi;
#endif
			wait_drop(me)
		}
	:: c[me].wstate == NO_WAIT
	fi;
#ifndef DEATH_KEEPS
	if
	:: atomic {
		cur != NONE && fl[cur].owner == me ->
owner_died:	flight_hand_over(cur);
		unlocked()
	   };
		tell_all()
	:: cur == NONE || fl[cur].owner != me
	fi
#endif
}
