/*
 * futex.Mutex (core/internal/futex/mutex.go).
 *
 * At most one living thread is inside; whoever comes after one that died inside is
 * told; nobody waits for ever.
 *
 * check: -DTHREADS=3 -DROUNDS=2
 * check: -DTHREADS=3 -DROUNDS=1 -DKILLS=1
 * long: -DTHREADS=3 -DROUNDS=2 -DSTIRS=1
 * long: -DTHREADS=3 -DROUNDS=1 -DKILLS=2 -DSTIRS=1
 * mistake: WAKES_FIRST -DTHREADS=2 -DROUNDS=1
 * mistake: DROPS_FLAG -DTHREADS=3 -DROUNDS=1
 * mistake: TAKES_OVER_BLINDLY -DTHREADS=3 -DROUNDS=1 -DKILLS=1
 * mistake: NEVER_TAKES_OVER -DTHREADS=2 -DROUNDS=1 -DKILLS=1
 * mistake: DOES_NOT_TELL -DTHREADS=2 -DROUNDS=1 -DKILLS=1
 */
/* The first look finds that there is another owner now, the second that it is dead. */
#define LOOKS 2
#define AT_REST everybodyIdle()
#if THREADS == 2
#define everybodyIdle() (IDLE(2) && IDLE(3))
#else
#define everybodyIdle() (IDLE(2) && IDLE(3) && IDLE(4))
#endif

#include "futex.h"

/* The owner, and the bit "somebody may sleep". */
#define OWNED_BY(p) ((p) << 1)
#define WAITERS 1
#define FREE(w) ((w) >> 1 == 0)
#define OWNER(w) ((w) >> 1)
#define WORD 1

byte word;
byte inside; /* who is between Lock and Unlock, or died there */

inline lock()
{
    compareAndSwap(word, 0, OWNED_BY(_pid), ok); /* TryLock */
    if
    :: ok -> goto locked
    :: else
    fi;
    w = word; /* one round of spinning */
    if
    :: FREE(w) ->
       compareAndSwap(word, w, OWNED_BY(_pid) | (w & WAITERS), ok);
       if
       :: ok -> goto locked
       :: else
       fi
    :: else
    fi;
    do
    :: w = word;
       if
       :: FREE(w) ->
#ifdef DROPS_FLAG
          compareAndSwap(word, w, OWNED_BY(_pid), ok);
#else
          compareAndSwap(word, w, OWNED_BY(_pid) | WAITERS, ok);
#endif
          if
          :: ok -> break
          :: else -> goto next
          fi
       :: !FREE(w) && !(w & WAITERS) ->
          compareAndSwap(word, w, w | WAITERS, ok);
          if
          :: ok -> w = w | WAITERS
          :: else -> goto next
          fi
       :: else
       fi;
       sleepOn(WORD, word, w);
#ifndef NEVER_TAKES_OVER
       if
#ifdef TAKES_OVER_BLINDLY
       :: dead[OWNER(w)] -> word = OWNED_BY(_pid) | WAITERS; inherited = true; break
#else
       :: word == w ->
          if
          :: dead[OWNER(w)] ->
             compareAndSwap(word, w, OWNED_BY(_pid) | WAITERS, ok);
             if
             :: ok -> inherited = true; break
             :: else
             fi
          :: else
          fi
#endif
       :: else
       fi;
#endif
next:  skip
    od;
locked: skip
}

inline unlock()
{
#ifdef WAKES_FIRST
    w = word;
    if
    :: w & WAITERS -> wake(WORD, 1, n)
    :: else
    fi;
    word = 0;
#else
    atomic { w = word; word = 0 }
    if
    :: w & WAITERS -> wake(WORD, 1, n)
    :: else
    fi;
#endif
    w = 0; n = 0; ok = false
}

active [THREADS] proctype Thread()
{
    byte w, n, round;
    bool ok, inherited;
    {
        do
        :: round < ROUNDS ->
           lock();
           atomic {
#ifdef DOES_NOT_TELL
               inherited = false;
#endif
               assert(inside == 0 || inherited && dead[inside]);
               inside = _pid;
               inherited = false
           }
           atomic { assert(inside == _pid); inside = 0 }
           unlock();
           round++
        :: else -> break
        od;
        FINISH
    } UNTIL_KILLED
}
