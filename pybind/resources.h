/* What the engine takes of what the system limits. */
#ifndef GOPROCESSING_RESOURCES_H
#define GOPROCESSING_RESOURCES_H

/* Whether the engine can be loaded: 0; -ENOMEM, there is not enough address space;
 * -EAGAIN, this process can have no more threads. A Go runtime that does not get what
 * it needs ends the process. */
int resources_check(void);

#endif
