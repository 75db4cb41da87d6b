/* What loading the engine does to this process's signals, and undoing it. */
#ifndef GOPROCESSING_SIGNALS_H
#define GOPROCESSING_SIGNALS_H

/* Remembers every disposition, before the engine is loaded. */
void signals_before_load(void);

/* Notes which handlers the engine installed. */
void signals_after_load(void);

/* In a forked child: puts back what the handlers of the dead engine replaced.
 * Async-signal-safe. */
void signals_restore(void);

#endif
