/*
 * arena.Semaphore (core/internal/arena/semaphore.go), whose fast paths are also in
 * goprocessing.h.
 *
 * The value never comes from nowhere, and nobody sleeps while it is not 0.
 *
 * check: -DTAKERS=3 -DVALUE=0 -DRELEASES=2
 * check: -DTAKERS=2 -DVALUE=1 -DRELEASES=1 -DSTIRS=1
 * check: -DTAKERS=2 -DVALUE=0 -DRELEASES=1 -DKILLS=1
 * long: -DTAKERS=3 -DVALUE=0 -DRELEASES=3 -DSTIRS=1
 * long: -DTAKERS=3 -DVALUE=0 -DRELEASES=2 -DKILLS=1
 * mistake: CHECKS_TOO_EARLY -DTAKERS=3 -DVALUE=0 -DRELEASES=1
 * mistake: LEAVES_SILENTLY -DTAKERS=3 -DVALUE=0 -DRELEASES=2
 * mistake: WAKES_ONE_ONLY -DTAKERS=3 -DVALUE=0 -DRELEASES=2
 * mistake: TAKES_WITHOUT_LOOKING -DTAKERS=3 -DVALUE=0 -DRELEASES=1
 */
#define WORD 1
#define SLEEPERS 128
#define VALUE_OF(w) ((w) & 127)

byte word = VALUE;
byte released = VALUE, acquired;

#define THREADS (1 + TAKERS)
#define AT_REST (!VALUE_OF(word) || IDLE(2) && IDLE(3) && IDLE(1 + TAKERS))
#include "futex.h"

/* try(flag) */
inline try(flag)
{
    do
    :: w = word;
       if
       :: !VALUE_OF(w) -> ok = false; break
       :: else
       fi;
       atomic {
#ifdef TAKES_WITHOUT_LOOKING
           word = (w - 1) | (flag); ok = true;
#else
           compareAndSwap(word, w, (w - 1) | (flag), ok);
#endif
           if
           :: ok -> acquired++; assert(acquired <= released); break
           :: else
           fi
       }
    od
}

/* Flag, of semaphoreWait: ok if there is something to take. */
inline announce()
{
    do
    :: w = word;
       if
       :: VALUE_OF(w) -> ok = true; break
       :: !VALUE_OF(w) && (w & SLEEPERS) -> ok = false; break
       :: else
       fi;
       compareAndSwap(word, w, w | SLEEPERS, ok);
       if
       :: ok -> w = w | SLEEPERS; ok = false; break
       :: else
       fi
    od
}

/* Acquires once, or gives up when it is to sleep again. */
active [TAKERS] proctype Taker()
{
    byte w, woken;
    bool ok, slept;
    {
        try(0);
        if
        :: ok -> goto acquired_
        :: else
        fi;
        do
        :: announce();
           if
           :: !ok ->
#ifdef CHECKS_TOO_EARLY
              w = word | SLEEPERS; word = w;
#endif
              if
              :: atomic { slept && word == w -> w = 0 }
                 break /* its time is over */
              :: sleepOn(WORD, word, w);
                 slept = true
              fi
           :: else
           fi;
#ifdef LEAVES_SILENTLY
           try(0);
#else
           if
           :: slept -> try(SLEEPERS)
           :: else -> try(0)
           fi;
#endif
           if
           :: ok -> break
           :: else
           fi
        od;
        w = 0;
#ifndef WAKES_ONE_ONLY
        if
        :: slept ->
           if
           :: VALUE_OF(word) -> wake(WORD, 1, woken)
           :: else
           fi
        :: else
        fi;
#endif
acquired_:
        FINISH
    } UNTIL_KILLED
}

active proctype Giver()
{
    byte w, woken, times;
    bool ok;
    {
        do
        :: times < RELEASES ->
           w = word;
           atomic {
               compareAndSwap(word, w, VALUE_OF(w) + 1, ok);
               if
               :: ok -> released++; times++
               :: else
               fi
           }
           if
           :: ok && (w & SLEEPERS) -> wake(WORD, 1, woken)
           :: else
           fi;
           w = 0; woken = 0; ok = false
        :: else -> break
        od;
        FINISH
    } UNTIL_KILLED
}
