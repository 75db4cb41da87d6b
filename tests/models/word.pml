/*
 * futex.Word for things that threads wait for: some take one, some only want to know
 * (as AwaitItem in core/internal/stream/stream.go).
 *
 * Nobody who waits sleeps on while there is a thing.
 *
 * check: -DTAKERS=2 -DTHINGS=2
 * check: -DTAKERS=1 -DTHINGS=2 -DSTIRS=1
 * check: -DTAKERS=1 -DTHINGS=1 -DKILLS=1
 * long: -DTAKERS=2 -DTHINGS=3 -DSTIRS=1
 * long: -DTAKERS=2 -DTHINGS=2 -DKILLS=1
 * mistake: CHECKS_TOO_EARLY -DTAKERS=2 -DTHINGS=1
 * mistake: WAKES_TOO_EARLY -DTAKERS=2 -DTHINGS=1
 * mistake: LEAVES_SILENTLY -DTAKERS=2 -DTHINGS=2
 * mistake: KEEPS_WAKE -DTAKERS=2 -DTHINGS=2
 * mistake: KEEPS_COUNT -DTAKERS=2 -DTHINGS=1
 */
#define WORD 1
byte word, things;

#define THREADS (2 + TAKERS)
#define AT_REST (things == 0 || IDLE(2) && IDLE(3) && IDLE(THREADS))
#include "futex.h"
#include "word.h"

inline isReady() { ready = things > 0 }

/* Who slept was woken alone, perhaps for one of several things. */
inline passOn()
{
    if
#ifndef KEEPS_WAKE
    :: slept ->
       isReady();
       if
       :: ready -> wakeWord(WORD, word, 1)
       :: else
       fi
#endif
    :: else
    fi
}

/* Takes one thing. */
active [TAKERS] proctype Taker()
{
    WORD_VARIABLES;
    {
        do
        :: atomic {
               if
               :: things > 0 -> things--; break
               :: else
               fi
           }
           AWAIT(WORD, word, isReady)
        od;
        passOn();
        FINISH
    } UNTIL_KILLED
}

active proctype Onlooker()
{
    WORD_VARIABLES;
    {
        AWAIT(WORD, word, isReady);
        passOn();
        FINISH
    } UNTIL_KILLED
}

active proctype Maker()
{
    WORD_VARIABLES;
    byte made;
    {
        do
        :: made < THINGS ->
           made++;
#ifdef WAKES_TOO_EARLY
           wakeWord(WORD, word, 1);
           things++
#else
           things++;
           wakeWord(WORD, word, 1)
#endif
        :: else -> break
        od;
        FINISH
    } UNTIL_KILLED
}
