//! The system calls by name, and how each can fail: by itself, or because a filter of a container does not allow it.

use nix::libc::{self, EACCES, EAGAIN, EINTR, EIO, EMFILE, ENOMEM, ENOSYS, EPERM};

macro_rules! table {
    ($($name:ident)+) => {
        &[$((stringify!($name), libc::$name)),+]
    };
}

#[rustfmt::skip]
const NAMES: &[(&str, i64)] = table![
    SYS_accept4 SYS_add_key SYS_arch_prctl SYS_bind SYS_brk SYS_capget SYS_chdir SYS_clock_gettime SYS_clock_nanosleep
    SYS_clone SYS_clone3 SYS_close SYS_close_range SYS_connect SYS_dup SYS_dup2 SYS_dup3 SYS_epoll_create1 SYS_epoll_ctl
    SYS_epoll_pwait SYS_eventfd2 SYS_execve SYS_execveat SYS_exit SYS_exit_group SYS_faccessat SYS_faccessat2
    SYS_fchmod SYS_fcntl SYS_flock SYS_fstat SYS_ftruncate SYS_futex SYS_getcwd SYS_getdents64 SYS_getegid SYS_geteuid
    SYS_getgid SYS_getpgid SYS_getpid SYS_getppid SYS_getpgrp SYS_getrandom SYS_getrlimit SYS_getsid SYS_getsockname SYS_getsockopt
    SYS_gettid SYS_getuid SYS_ioctl SYS_keyctl SYS_kill SYS_lseek SYS_madvise SYS_memfd_create SYS_memfd_secret
    SYS_mlock SYS_mlock2 SYS_mlockall SYS_mmap SYS_mprotect SYS_mremap SYS_munlock SYS_munmap SYS_nanosleep
    SYS_newfstatat SYS_openat SYS_openat2 SYS_pidfd_open SYS_pidfd_send_signal SYS_pipe2 SYS_poll SYS_ppoll SYS_prctl
    SYS_pread64 SYS_prlimit64 SYS_pwrite64 SYS_read SYS_readlink SYS_readlinkat SYS_readv SYS_recvfrom SYS_recvmsg SYS_request_key
    SYS_rseq SYS_rt_sigaction SYS_rt_sigpending SYS_rt_sigprocmask SYS_rt_sigqueueinfo SYS_rt_sigreturn
    SYS_rt_sigsuspend SYS_rt_sigtimedwait SYS_sched_getaffinity SYS_sched_getscheduler SYS_sched_yield SYS_seccomp
    SYS_sendmsg SYS_sendmmsg SYS_sendto SYS_set_robust_list SYS_setpgid SYS_setsid SYS_setsockopt SYS_shutdown SYS_sigaltstack
    SYS_signalfd4 SYS_socket SYS_socketpair SYS_splice SYS_statx SYS_sysinfo SYS_tgkill SYS_timerfd_create SYS_timerfd_settime
    SYS_umask SYS_uname SYS_wait4 SYS_waitid SYS_write SYS_writev
    SYS_access SYS_open SYS_stat SYS_pipe SYS_fork SYS_vfork SYS_getpriority
];

/// Those that cannot fail or never return, and one that has to be asked again for ever if it is refused: no profile does.
const NEVER_FAIL: [i64; 22] = [
    libc::SYS_brk,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getpgrp,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_munmap,
    libc::SYS_rseq,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    libc::SYS_umask,
    libc::SYS_close,
    libc::SYS_restart_syscall,
];

/// The name of a call, or its number where it is not in the table.
pub fn name(call: i64) -> String {
    let known = NAMES.iter().find(|(_, number)| *number == call);
    match known {
        Some((name, _)) => name.trim_start_matches("SYS_").to_owned(),
        None => format!("call {call}"),
    }
}

/// The name of an error.
pub fn error_name(error: i32) -> String {
    format!("{:?}", nix::errno::Errno::from_raw(error))
}

/// The errors with which a call is made to fail. Those by which a filter refuses are for every call that is not named here.
pub fn errors(call: i64) -> &'static [i32] {
    match call {
        _ if NEVER_FAIL.contains(&call) => &[],
        libc::SYS_read
        | libc::SYS_write
        | libc::SYS_writev
        | libc::SYS_pread64
        | libc::SYS_readv => &[EINTR, EIO],
        libc::SYS_recvfrom | libc::SYS_sendto | libc::SYS_recvmsg | libc::SYS_sendmsg => {
            &[EINTR, EIO]
        }
        libc::SYS_poll | libc::SYS_ppoll | libc::SYS_wait4 => &[EINTR, ENOMEM, EPERM],
        libc::SYS_rt_sigtimedwait => &[EINTR, EPERM],
        libc::SYS_clock_nanosleep => &[EINTR],
        libc::SYS_mmap | libc::SYS_mprotect | libc::SYS_mremap => &[ENOMEM],
        libc::SYS_madvise => &[ENOMEM, EPERM],
        libc::SYS_rt_sigprocmask | libc::SYS_rt_sigaction | libc::SYS_fstat | libc::SYS_lseek => {
            &[EPERM]
        }
        libc::SYS_execve => &[EACCES, ENOMEM, EPERM],
        libc::SYS_clone | libc::SYS_clone3 => &[EAGAIN, ENOMEM, EPERM, ENOSYS],
        libc::SYS_mlock | libc::SYS_mlock2 | libc::SYS_mlockall => &[ENOMEM, EPERM, ENOSYS],
        libc::SYS_rt_sigqueueinfo => &[EAGAIN, EPERM, ENOSYS],
        libc::SYS_openat
        | libc::SYS_openat2
        | libc::SYS_dup
        | libc::SYS_dup2
        | libc::SYS_dup3
        | libc::SYS_fcntl
        | libc::SYS_pipe2
        | libc::SYS_socket
        | libc::SYS_socketpair
        | libc::SYS_memfd_create
        | libc::SYS_memfd_secret
        | libc::SYS_signalfd4
        | libc::SYS_pidfd_open
        | libc::SYS_epoll_create1 => &[EMFILE, EPERM, ENOSYS],
        _ => &[EPERM, ENOSYS],
    }
}

/// Whether a failure of this call is one of the network, after which trying again may help.
pub fn is_network(call: i64) -> bool {
    [
        libc::SYS_socket,
        libc::SYS_connect,
        libc::SYS_recvfrom,
        libc::SYS_sendto,
        libc::SYS_recvmsg,
        libc::SYS_sendmsg,
        libc::SYS_sendmmsg,
        libc::SYS_read,
        libc::SYS_write,
        libc::SYS_writev,
        libc::SYS_readv,
        libc::SYS_poll,
        libc::SYS_ppoll,
        libc::SYS_setsockopt,
        libc::SYS_getsockopt,
        libc::SYS_ioctl,
        // A second descriptor of a connection.
        libc::SYS_fcntl,
        libc::SYS_clone,
        libc::SYS_clone3,
        libc::SYS_bind,
        libc::SYS_getsockname,
    ]
    .contains(&call)
}

/// The third argument of the call that protects as well where one of this third argument is refused: pages that are kept
/// from children as a file are replaced by others, which are wiped there.
pub fn instead(call: i64, third: u64) -> Option<u64> {
    let is_refused = call == libc::SYS_madvise && third as i32 == libc::MADV_DONTFORK;
    is_refused.then_some(libc::MADV_WIPEONFORK as u64)
}

/// The protection that a call with these arguments puts in force and that shows in no file of /proc.
pub fn protection(call: i64, first: u64, third: u64) -> Option<&'static str> {
    let option = first as i32;
    match (call, option, third as i32) {
        (libc::SYS_prctl, libc::PR_SET_DUMPABLE, _) => Some("being undumpable"),
        (libc::SYS_prctl, libc::PR_SET_PDEATHSIG, _) => Some("the signal of the parent's death"),
        (libc::SYS_prctl, libc::PR_SET_CHILD_SUBREAPER, _) => Some("adopting orphans"),
        (libc::SYS_madvise, _, libc::MADV_DONTDUMP) => Some("being left out of core dumps"),
        (libc::SYS_madvise, _, libc::MADV_DONTFORK) => Some("being kept from children"),
        (libc::SYS_madvise, _, libc::MADV_WIPEONFORK) => Some("being kept from children"),
        _ => None,
    }
}
