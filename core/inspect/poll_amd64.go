package inspect

import "syscall"

const sysPoll = syscall.SYS_POLL
