/*
 * futex.Word (core/internal/futex/word.go), and how it is awaited (futex.Await). To be
 * included after futex.h; threads that use it declare WORD_VARIABLES.
 *
 * isReady is to be an inline that stores in ready whether the condition holds.
 */
#define WORD_VARIABLES \
    byte bits, woken; \
    bool ok, ready, slept

#define MAY_WAIT 1
#define WOKEN(b) (((b) + 2) & 14) /* it counts up to 8: no thread misses so many */

#ifdef KEEPS_COUNT
#undef WOKEN
#define WOKEN(b) 0
#endif

inline wakeWord(id, word, n)
{
    do
    :: bits = word;
       if
       :: !(bits & MAY_WAIT) -> break
       :: else
       fi;
       compareAndSwap(word, bits, WOKEN(bits), ok);
       if
       :: ok -> wake(id, n, woken); break
       :: else
       fi
    od;
    bits = 0; woken = 0; ok = false
}

#ifdef CHECKS_TOO_EARLY
#define FLAG(word, isReady) isReady(); atomic { word = word | MAY_WAIT; bits = word }
#else
#define FLAG(word, isReady) atomic { word = word | MAY_WAIT; bits = word }; isReady()
#endif

#ifdef LEAVES_SILENTLY
#define LEAVE(word) skip
#else
#define LEAVE(word) word = word | MAY_WAIT
#endif

#define AWAIT(id, word, isReady) \
    do \
    :: FLAG(word, isReady); \
       if \
       :: !ready -> sleepOn(id, word, bits); slept = true \
       :: else \
       fi; \
       isReady(); \
       if \
       :: ready && slept -> LEAVE(word); break \
       :: ready && !slept -> break \
       :: else \
       fi \
    od; \
    bits = 0; ready = false
