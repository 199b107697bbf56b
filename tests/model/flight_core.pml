/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What the core does under its lock. Each inline is named after the function
 * that it models. Those that can end a flight leave it in @tell: its waiters
 * are told by tell_all() afterwards, one in each hold of the lock.
 */
#define NONE		15

/* slots */
#define EMPTY		0
#define INITIALIZING	1
#define FILLED		2
#define FAILED		3

/* enum alz_waiter_state */
#define NO_WAIT		0
#define WAITING		1
#define ENDED		2
#define OFFERED		3

/* how a flight ended: nobody here acts on which error it was */
#define HIT		1
#define ERROR		2

/* forms of waiting */
#define BLOCK		1
#define EVENT		2
#define FD		4
#define FOLLOW		8	/* EVENT that stays on after an offer */

typedef Flight {
	byte gen;		/* generation */
	byte attempt;
	byte owner;
	byte refs;
	bit ended;
	byte result;
	byte record_gen;
};

typedef Client {
	bit dead;
	byte wstate;		/* its wait: one at a time */
	byte wflight;
	byte wticket;
	byte form;
	bit can_init;
	bit reported;
	byte joined;		/* ghost: generation of the flight then */
	byte floor;		/* ghost: what was invalid then */
	byte holds;		/* ghost: the ticket that it knows of; 0: none */
	bit on_queue;		/* is on its wait queue */
	bit runnable;		/* and was woken since */
};

/* A ticket is never granted twice: a grant has a generation and an attempt. */
#define TICKET(f)	(fl[f].gen * 16 + fl[f].attempt + 1)
#define GEN(t)		((t) / 16)

byte slot = EMPTY;
byte slot_gen;			/* generation of the slot's record */
byte generation;		/* the last one drawn */
byte invalidated;		/* ghost: up to here by INVALIDATE */
byte cur = NONE;		/* the key's running flight: alz_flight_find() */
byte flights;
Flight fl[GENS];
Client c[PROCS];
chan able[GENS] = [PROCS] of { byte };		/* oldest first */
chan waiters[GENS] = [PROCS] of { byte };
byte acts = ACTS;		/* what the clients may still do, together */

/* Scratch within one hold of the lock: no part of the state. */
hidden byte w, next, got, form, ok, loads;

/* ---- what always holds ------------------------------------------------- */

/* At the end of each hold of the lock. */
inline unlocked()
{
	assert((cur != NONE) == (slot == INITIALIZING));
	assert(cur == NONE || !fl[cur].ended);
	/* I4, I10: the ticket is with somebody who will end it */
	assert(cur == NONE || fl[cur].owner != NONE);
	assert(cur == NONE || c[fl[cur].owner].holds == TICKET(cur) ||
	       (c[fl[cur].owner].wstate == OFFERED &&
		c[fl[cur].owner].wticket == TICKET(cur)) ||
	       c[fl[cur].owner].dead);
	/* what is there is not what was invalidated */
	assert(slot < FILLED || slot_gen > invalidated)
}

/* All clients have exited. */
inline at_rest()
{
	assert(cur == NONE && slot != INITIALIZING);
	i = 0;
	do
	:: i < PROCS -> assert(c[i].dead && c[i].wstate == NO_WAIT && !c[i].holds); i++
	:: else -> break
	od;
	i = 0;
	do
	:: i < flights -> assert(!fl[i].refs && empty(able[i]) && empty(waiters[i])); i++
	:: else -> break
	od
}

/* I1: @me learns that a ticket is its. */
inline believe(me, t)
{
	w = 0;
	do
#ifdef ACCEPT_DEADLINE
	:: w < PROCS -> assert(w == me || c[w].holds != t); w++
#else
	:: w < PROCS -> assert(w == me || !c[w].holds || GEN(c[w].holds) != GEN(t)); w++
#endif
	:: else -> break
	od;
	c[me].holds = t
}

/* I3, I5: the wait of @me on flight @f has ended, and it reads how. */
inline heard(me, f)
{
	assert(fl[f].ended && fl[f].result);
	if
	:: fl[f].result == HIT ->
		assert(fl[f].record_gen >= c[me].joined);
		assert(fl[f].record_gen > c[me].floor)
	:: else
	fi
}

/* I6: a publish of @me, with what it has, links a record of generation @g. */
inline store_value(me, g)
{
	assert(cur != NONE && fl[cur].owner == me);
	assert(c[me].holds == TICKET(cur));
	assert(g == fl[cur].gen && g > invalidated)
}

/* alz_flight_put() */
inline flight_put(f)
{
	assert(fl[f].refs);
	fl[f].refs--;
	if
	:: !fl[f].refs ->
		assert(fl[f].ended && empty(able[f]) && empty(waiters[f]));
		fl[f].gen = 0;
		fl[f].attempt = 0;
		fl[f].ended = 0;
		fl[f].result = 0;
		fl[f].record_gen = 0;
		fl[f].owner = 0
	:: else
	fi
}

/* ---- wait.c ------------------------------------------------------------ */

/* alz_os_wake(), alz_os_ready(): who is on the queue runs again. */
inline wake(x)
{
	if
	:: c[x].on_queue -> c[x].runnable = 1
	:: else
	fi
}

/* alz_wait_deliver(), of one that is off its flight's list already */
inline wait_deliver(x, s)
{
	c[x].wstate = s;
	wake(x)
}

inline wait_enqueue(me, f, wform, loads)
{
	c[me].form = wform;
	c[me].can_init = loads;
	c[me].wstate = WAITING;
	c[me].wflight = f;
	c[me].floor = invalidated;
	c[me].joined = fl[f].gen;
	fl[f].refs++;
	if
	:: loads -> able[f]!me
	:: else -> waiters[f]!me
	fi
}

inline list_del(me)
{
	if
	:: able[c[me].wflight]??[eval(me)] -> able[c[me].wflight]??eval(me)
	:: waiters[c[me].wflight]??[eval(me)] -> waiters[c[me].wflight]??eval(me)
	:: !able[c[me].wflight]??[eval(me)] && !waiters[c[me].wflight]??[eval(me)]
	fi
}

inline wait_drop(me)
{
	list_del(me);
	flight_put(c[me].wflight);
	c[me].wstate = NO_WAIT;
	c[me].wflight = 0;
	c[me].wticket = 0;
	c[me].form = 0;
	c[me].can_init = 0;
	c[me].reported = 0;
	c[me].joined = 0;
	c[me].floor = 0
}

/* ---- flight.c ---------------------------------------------------------- */

inline flight_offer(f)
{
	ok = 0;
	do
	:: !ok && nempty(able[f]) ->
		able[f]?w;
		if
		:: c[w].dead
		:: else ->
			fl[f].owner = w;
			c[w].wticket = TICKET(f);
			wait_deliver(w, OFFERED);
			ok = 1
		fi
	:: ok || empty(able[f]) -> break
	od
}

/* alz_flight_finish(), and the splice of alz_flight_end() */
inline flight_end(f, res, g)
{
	tell = f;
	fl[f].owner = NONE;
	fl[f].ended = 1;
	fl[f].result = res;
	fl[f].record_gen = g;
	do
	:: nempty(able[f]) -> able[f]?w; waiters[f]!w
	:: empty(able[f]) -> break
	od;
	cur = NONE;	/* @f may be cur */
	tell_start()
}

/* The loop of alz_flight_end(), with the lock let go in between. */
inline tell_start()
{
	if
	:: empty(waiters[tell]) -> flight_put(tell); tell = NONE
	:: nempty(waiters[tell])
	fi
}

inline tell_all()
{
	do
	:: atomic { tell != NONE ->
		if
		:: nempty(waiters[tell]) ->
			waiters[tell]?w;
			wait_deliver(w, ENDED)
		:: empty(waiters[tell])
		fi;
		tell_start();
		unlocked()
	   }
	:: tell == NONE -> break
	od
}

inline flight_start(me)
{
	generation++;
	cur = flights;
	flights++;
	fl[cur].gen = generation;
	fl[cur].owner = me;
	fl[cur].refs = 1;
	slot = INITIALIZING
}

inline flight_hand_over(f)
{
	fl[f].owner = NONE;
	fl[f].attempt++;
	flight_offer(f);
	if
	:: ok
	:: else ->
		slot = EMPTY;
		flight_end(f, ERROR, 0)
	fi
}

/* alz_flight_invalidate(): starts again in its place, if somebody can. */
inline flight_invalidate(f)
{
#ifdef INVALIDATE_KEEPS
	skip
#else
	fl[f].owner = NONE;
	if
	:: nempty(able[f]) ->
		generation++;
		fl[f].gen = generation;
		fl[f].attempt = 0;
		flight_offer(f)
	:: empty(able[f]) -> ok = 0
	fi;
	if
	:: ok
	:: else ->
		slot = EMPTY;
		flight_end(f, ERROR, 0)
	fi
#endif
}

/* alz_flight_owned() */
#ifdef NO_FENCE
#define OWNED(me, t)	(cur != NONE)
#else
#define OWNED(me, t)	(cur != NONE && fl[cur].owner == me && TICKET(cur) == t)
#endif

/* ---- event.c, client.c ------------------------------------------------- */

#define STANDS(me) \
	(c[me].wstate == OFFERED && cur == c[me].wflight && \
	 fl[cur].owner == me && TICKET(cur) == c[me].wticket)

/* alz_wait_take_back(); I10 is stated here. */
inline wait_take_back(me)
{
	if
	:: STANDS(me) ->
		wait_drop(me);
		next = NONE;
		if
		:: nempty(able[cur]) -> able[cur]?<next>
		:: empty(able[cur])
		fi;
		flight_hand_over(cur);
		assert(next == NONE || c[next].dead ||
		       (cur != NONE && fl[cur].owner == next && c[next].wstate == OFFERED));
		:: else ->
		next = cur;
		wait_drop(me);
		assert(cur == next);
		fi
}
