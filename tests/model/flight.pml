/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * One key, its flights, and PROCS clients that claim, wait, cancel, publish,
 * fail, abandon, invalidate, set and die, until GENS generations are drawn.
 *
 *   flight_core.pml	what kmod/core does under the lock, function by function
 *   flight_client.pml	what a client does, call by call
 *
 * Granularity. One hold of the cache's lock is one atomic step. What is done
 * outside is a step of its own: the reader's look at the slot, the look and the
 * enqueueing of a claim that needs memory in between, going on a wait queue,
 * looking again, sleeping, the copy of a value between alz_publish_begin() and
 * alz_publish_commit(), the copy of an event between alz_events_copy() and
 * alz_events_done(). Where the core lets go of the lock after ALZ_BATCH steps,
 * the model does after each one, and before the first: the client or waiter
 * that is modelled stands for any of a million.
 *
 * Left out: CLEAR (it is INVALIDATE of one key after the other), quotas, memory
 * that runs out, TTLs and leases, which refresh.pml has, other keys, and the table,
 * which the explorer has.
 *
 * The invariants of the design, as they are checked:
 *   I1	believe(): when a client learns of its ticket, no other client has one
 *	of the same generation that it has not ended.
 *   I3	No invalid end state. A client that waits without a deadline waits for
 *	ever if it is not told; then the search finds a state from which nothing
 *	happens. There are no cycles (checked with -DNP), so nothing else could
 *	keep a waiter asleep. heard(): what it hears is an outcome.
 *   I4	at_rest(): once all clients have exited no flight runs, no slot is
 *	INITIALIZING, no wait is left (I8). unlocked(): whenever the lock is free
 *	a running flight has an owner that knows of it or can still learn of it,
 *	or is dying and has yet to hand over.
 *   I5	heard(): who waited for a generation gets the value published for it or
 *	for a later one, never an older one.
 *   I6	store_value(): only the last ticket that was granted, of a generation
 *	later than the last INVALIDATE, changes the slot.
 *   I10	wait_take_back(): cancelling changes nothing but its own entry; an offer
 *	that was on its way goes to the oldest waiter that can initialise.
 *
 * Each of these takes a part of the code away, and must make the search fail:
 *   -DNO_RECHECK	   a claim enqueues on the flight that it saw before it let
 *			   go of the lock, without looking again
 *   -DNO_FENCE		   a publish is not checked against its ticket
 *   -DDEATH_KEEPS	   alz_client_die() does not hand tickets over
 *   -DDEATH_LOSES_OFFER   it forgets those that its client never read of
 *   -DCANCEL_LOSES_OFFER  alz_cancel() drops a waiter that was offered the ticket
 *   -DCLOSE_LOSES_OFFER   alz_wait_fd_close() does
 *   -DTIMEOUT_WINS	   alz_wait_finish() lets the deadline win over the ticket
 *   -DINVALIDATE_KEEPS	   alz_flight_invalidate() leaves the old ticket good
 *   -DWAKE_IS_AN_EDGE	   a sleeper looks, and then goes on the wait queue
 *   -DTELL_FIRST	   waiters are told, and then the slot is stored
 *   -DDEADLINE_LOSES_OFFER  with -DACCEPT_DEADLINE: see timer()
 */
#ifndef PROCS
#define PROCS	3
#endif
#ifndef GENS
#define GENS	2
#endif
#ifndef ACTS
#define ACTS	4	/* gets, sets and invalidates that the clients make */
#endif
#ifndef FORMS
#define FORMS	15	/* which forms of waiting: BLOCK 1, EVENT 2, FD 4, FOLLOW 8 */
#endif

#include "flight_core.pml"
#include "flight_client.pml"

#ifdef ACCEPT_DEADLINE
bit ticks;		/* the timer is at it */

/*
 * The accept deadline, put more harshly than it is: an offer that its waiter has not
 * read in time goes to the next. The waiter may still read of it; its ticket is stale
 * then, so that I1 is about whole tickets. In the core it waits on: see refresh.pml.
 */
active proctype timer()
{
	byte tell = NONE;

end:	atomic {
		cur != NONE && c[fl[cur].owner].wstate == OFFERED &&
		c[fl[cur].owner].wticket == TICKET(cur) &&
		!c[fl[cur].owner].reported && c[fl[cur].owner].holds == 0;
#ifdef DEADLINE_LOSES_OFFER
		fl[cur].owner = NONE;
#else
		flight_hand_over(cur);
#endif
		ticks = 1;
		unlocked()
	}
	tell_all();
	ticks = 0
}
#endif

init {
	byte i;

	atomic {
		i = 0;
		do
		:: i < PROCS -> run client(i); i++
		:: else -> break
		od
	}
#ifdef ACCEPT_DEADLINE
	_nr_pr == 2 && !ticks;
#else
	_nr_pr == 1;
#endif
	at_rest()
}
