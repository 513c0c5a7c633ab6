"""The system calls that a worker's processes may make: those of ordinary programs and of an agent's own sandbox.

The profile is an allow list. Other calls fail with EPERM; calls in `_ABSENT` fail as if the kernel did not know them.
Only `_SANDBOX` (namespaces and mounts) goes beyond the defaults of container engines. Without capabilities these calls
work only inside the process's own user namespace, from which Codex builds its sandbox. 32-bit programs do not run:
they use another table of calls.
"""

from __future__ import annotations

import json
from functools import cache

from schema.wire import Json

_ARCHITECTURES = ("SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64")
AF_VSOCK = 40
ENOSYS = 38
EPERM = 1

_FILES = """
    access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64
    fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fremovexattr
    fsetxattr fstat fstatfs fsync ftruncate futimesat getcwd getdents getdents64 getxattr inotify_add_watch inotify_init
    inotify_init1 inotify_rm_watch ioctl lchown lgetxattr link linkat listxattr llistxattr lremovexattr lseek lsetxattr
    lstat memfd_create mkdir mkdirat mknod mknodat newfstatat open openat openat2 pread64 preadv preadv2 pwrite64
    pwritev pwritev2 read readahead readlink readlinkat readv removexattr rename renameat renameat2 rmdir sendfile
    setxattr splice stat statfs statx symlink symlinkat sync sync_file_range syncfs tee truncate umask unlink unlinkat
    utime utimensat utimes vmsplice write writev
"""
_MEMORY = """
    brk madvise membarrier mincore mlock mlock2 mlockall mmap mprotect mremap msync munlock munlockall munmap
    pkey_alloc pkey_free pkey_mprotect process_mrelease
"""
_PROCESSES = """
    arch_prctl capget capset clone execve execveat exit exit_group fork futex futex_waitv get_robust_list
    get_thread_area getcpu getegid geteuid getgid getgroups getpgid getpgrp getpid getppid getpriority getresgid
    getresuid getrlimit getrusage getsid gettid getuid ioprio_get ioprio_set kill landlock_add_rule
    landlock_create_ruleset landlock_restrict_self pause pidfd_open pidfd_send_signal prctl prlimit64 ptrace
    restart_syscall rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
    rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr
    sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam
    sched_setscheduler sched_yield seccomp set_robust_list set_thread_area set_tid_address setfsgid setfsuid setgid
    setgroups setpgid setpriority setregid setresgid setresuid setreuid setrlimit setsid setuid sigaltstack sysinfo
    tgkill times tkill uname vfork wait4 waitid
"""
_WAITING_AND_TIME = """
    alarm clock_getres clock_gettime clock_nanosleep epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2
    epoll_wait eventfd eventfd2 getitimer gettimeofday io_cancel io_destroy io_getevents io_setup io_submit nanosleep
    poll ppoll pselect6 select setitimer signalfd signalfd4 time timer_create timer_delete timer_getoverrun
    timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime
"""
_TALKING = """
    accept accept4 bind connect getpeername getrandom getsockname getsockopt listen mq_getsetattr mq_notify mq_open
    mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd pipe pipe2 recvfrom recvmmsg recvmsg semctl
    semget semop semtimedop sendmmsg sendmsg sendto setsockopt shmat shmctl shmdt shmget shutdown socketpair
"""
_SANDBOX = "chroot mount pivot_root sethostname setns umount2 unshare"
_ABSENT = "clone3 io_uring_enter io_uring_register io_uring_setup"
"""Programs fall back when these calls are absent. A filter cannot inspect clone3's arguments, and io_uring bypasses
filters."""
_PERSONALITIES = (0x0, 0x0008, 0x20000, 0x20008, 0xFFFFFFFF)


@cache
def seccomp_profile() -> str:
    """Return the profile as JSON for the container engine."""
    allowed = [_FILES, _MEMORY, _PROCESSES, _WAITING_AND_TIME, _TALKING, _SANDBOX]
    rules: list[Json] = [
        _rule(" ".join(allowed)),
        _rule(_ABSENT, action="SCMP_ACT_ERRNO", errnoRet=ENOSYS),
        _rule("socket", args=[{"index": 0, "value": AF_VSOCK, "op": "SCMP_CMP_NE"}]),
        *(
            _rule("personality", args=[{"index": 0, "value": persona, "op": "SCMP_CMP_EQ"}])
            for persona in _PERSONALITIES
        ),
    ]
    profile: Json = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": EPERM,
        "architectures": list(_ARCHITECTURES),
        "syscalls": rules,
    }
    return json.dumps(profile)


def _rule(names: str, *, action: str = "SCMP_ACT_ALLOW", **more: object) -> Json:
    return {"names": names.split(), "action": action, **more}
