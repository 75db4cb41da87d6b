package inspect

// sysPoll: there is no such system call, but ppoll(2).
const sysPoll = -1
